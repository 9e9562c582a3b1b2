"""Tests of the emulator against KFP's rules: with `kfp.Client`, packages of small components and shell scripts."""
