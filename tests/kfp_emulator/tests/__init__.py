"""The emulator against KFP's rules: through `kfp.Client`, packages of small components, and shell scripts."""
