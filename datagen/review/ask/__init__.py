"""What people are asked: the traces on which their minute is worth most."""
