//! Stories and wire tests of the simulation, in one binary.

mod http_face;
