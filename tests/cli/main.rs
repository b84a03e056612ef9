//! The command line, run by users' words against simulated hosts (`examples/simhost`).

mod concurrency;
mod crash;
mod harness;
mod hostile_names;
mod main_job;
mod odd_names;
mod second_look;
