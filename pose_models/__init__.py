"""Neural mesh pose models: trained from p3d_gen's shards, evaluated on renders and on photographs."""
