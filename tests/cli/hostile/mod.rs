//! An attacker's visit, with harmless input: what others may name, write, send or hold is used against
//! the program's own guards, on simulated hosts and on little roots.
//!
//! A check is one situation and what must hold in it. Groups run in parts, side by side; the last part
//! of a group to end prints its line, and `make hostile` adds the lines up.

mod frame;
mod scene;
mod texts;

mod callouts;
mod delegation;
mod documents;
mod environment;
mod hammer;
mod holders;
mod injection;
mod kills;
mod limits;
mod metrics;
mod modes;
mod paths;
mod policy;
mod races;
mod run_links;
mod terminal;
