//! The command line, run by users' words against simulated hosts (`examples/simhost`).

mod concurrency;
mod crash;
mod harness;
mod main_job;
