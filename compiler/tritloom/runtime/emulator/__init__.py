"""The emulated device: the real `pynq` package over memory, registers and a kernel made of software."""
