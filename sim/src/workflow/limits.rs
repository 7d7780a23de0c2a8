//! What a workflow file may hold at most.
//!
//! GitHub's own limits where it has some, else far above what a person writes. They keep a hostile file from costing
//! more than a moment.

/// Bytes of a workflow file.
pub const FILE_BYTES_MAX: usize = 1_048_576;
/// Jobs of one matrix (GitHub's own limit).
pub const MATRIX_JOBS_MAX: usize = 256;
/// Jobs of one workflow, matrices expanded.
pub const JOBS_MAX: usize = 500;
/// Steps of one job.
pub const STEPS_MAX: usize = 1_000;
/// Levels of one expression, parentheses and calls counted.
pub const EXPRESSION_DEPTH_MAX: usize = 50;
/// Characters of one expression (GitHub's own limit).
pub const EXPRESSION_CHARS_MAX: usize = 21_000;
/// Levels of lists and mappings in the file.
pub const YAML_DEPTH_MAX: usize = 50;
/// Values in the file, each use of an anchor counted with all that it repeats.
pub const YAML_NODES_MAX: usize = 100_000;
/// Characters of a job id.
pub const JOB_ID_CHARS_MAX: usize = 100;
/// Minutes that a job may take unless it says otherwise (GitHub's default).
pub const JOB_TIMEOUT_DEFAULT_MINUTES: f64 = 360.0;
/// Minutes that a job on a self-hosted runner may take at most (GitHub: five days).
pub const JOB_TIMEOUT_MAX_MINUTES: f64 = 7_200.0;
