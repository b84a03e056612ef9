//! The command line, run by users' words against simulated hosts (`examples/simhost`).

mod harness;
mod main_job;
