"""The science of RigFuse: arrays in, arrays out; no HTTP, SQL, queue or user files."""
