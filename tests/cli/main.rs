//! The command line, run by users' words against simulated hosts (`examples/simhost`).

mod capacity;
mod create;
mod create_failures;
mod gpus;
mod harness;
mod held;
mod helpers;
mod list;
mod main_job;
mod remove;
mod show;
mod types;
