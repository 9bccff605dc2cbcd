"""What Dagster loads. Switched off, the code location is empty and no channel is imported."""

import logging

import dagster as dg

from channel_sync import config

# Under "dagster", whose lines Dagster's own servers show: they leave other loggers without a handler.
logger = logging.getLogger("dagster.channel_sync")


@dg.definitions
def defs() -> dg.Definitions:
    """Everything the channel manager defines, or nothing while CHANNEL_MANAGER_ENABLED is not true."""
    settings = config.load()
    if not settings.enabled:
        logger.warning(
            "Channel Manager module disabled: set CHANNEL_MANAGER_ENABLED=true and reload to enable it"
        )
        return dg.Definitions()
    logger.info("Channel Manager module enabled via CHANNEL_MANAGER_ENABLED=true")
    from channel_sync import bootstrap  # noqa: PLC0415 - off means that no adapter is imported
    from channel_sync.defs import assemble  # noqa: PLC0415 - the same

    return assemble.definitions(bootstrap.engine(settings))
