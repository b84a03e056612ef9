//! The command line, run by users' words against simulated hosts (`examples/simhost`).

mod capacity;
mod create;
mod create_failures;
mod gpus;
mod harness;
mod helpers;
mod list;
mod main_job;
mod show;
mod types;
