"""What ChampionResolver says of its model, for readers that import no TFX."""

# Custom property of the champion's artifact; empty where no other model serves.
VERSION = "champion_version"
