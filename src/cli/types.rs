//! `vgpuctl types`.

use clap::{Args, ValueEnum};

use super::complete::Live;
use super::type_choice::{series, size};
use crate::error::Result;
use crate::model::ParentId;
use crate::nvidia::Series;
use crate::ops::{self, Context, TypeFilter, TypesRequest};
use crate::output::Reply;

#[derive(Debug, Args)]
pub struct TypesArgs {
    /// Only this parent's types
    #[arg(short, long, value_name = "PARENT", add = Live::Parent)]
    parent: Option<ParentId>,
    /// Only types with an available instance
    #[arg(short, long)]
    available: bool,
    /// Only types of this series: A, B, C, Q or gaming
    #[arg(long, value_parser = series, add = Live::Series)]
    series: Option<Series>,
    /// Only types with this much framebuffer (2G, 2GiB, 2048M) or more
    #[arg(long, value_name = "SIZE", value_parser = size, add = Live::Framebuffer)]
    min_framebuffer: Option<u64>,
    /// With "wide", also show the use of each type, its licence, CUDA and OpenGL
    #[arg(short, long, value_name = "FORM")]
    output: Option<Form>,
}

/// The form of the table.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Form {
    /// All columns
    Wide,
}

impl TypesArgs {
    pub fn run(self, context: &Context<'_>) -> Result<Reply> {
        let request = TypesRequest {
            parent: self.parent,
            filter: TypeFilter {
                available: self.available,
                series: self.series,
                min_framebuffer_mib: self.min_framebuffer,
            },
        };
        let answer = ops::types_with_instances(context, &request)?;
        Ok(match self.output {
            None => Reply::Types(answer),
            Some(Form::Wide) => Reply::TypesWide(answer),
        })
    }
}
