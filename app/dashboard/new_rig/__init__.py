"""The guided page: from a calibration to the first adaptation."""
