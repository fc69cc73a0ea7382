"""What repeats launches: a measurement, a calibration, an emulation, a validation; their settings and files."""
