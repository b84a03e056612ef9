//! The command line, run by users' words against simulated hosts (`examples/simhost`).

mod bad_definitions;
mod bad_types;
mod capacity;
mod create;
mod create_failures;
mod define;
mod empty_hosts;
mod gpus;
mod harness;
mod held;
mod helpers;
mod json;
mod list;
mod main_job;
mod modify;
mod options;
mod remove;
mod restore;
mod s390;
mod show;
mod start_stop;
mod streams;
mod types;
mod unprivileged;
