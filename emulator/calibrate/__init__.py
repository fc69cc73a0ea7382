"""From measured cells to a calibration, and what it says: schema, laws, evaluate, fit, each room above the one before."""
