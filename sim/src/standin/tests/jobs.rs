//! Rows C16–C21 of the contract: what a job sees and how its steps are run.

use std::os::unix::fs::PermissionsExt as _;

use super::broker::State;
use super::stage::{Stage, processes, until};
use crate::workflow::spec::Conclusion;

fn lines(state: &State, step: u32) -> Vec<&str> {
    let of_step = state.log.iter().filter(|(number, _)| *number == step);
    of_step.map(|(_, line)| line.as_str()).filter(|line| !line.starts_with("##[")).collect()
}

fn conclusions(state: &State) -> Vec<&'static str> {
    state.completed[0].steps.iter().map(|step| step.conclusion.word()).collect()
}

#[test]
fn c16_c19_environment_files_and_expressions() {
    let state = Stage::new().finish(
        r##"
    strategy: {matrix: {n: [3]}}
    env: {JOB: 'j${{ matrix.n }}'}
    outputs: {v: '${{ steps.one.outputs.v }}', job: '${{ job.status }}'}
    steps:
      - uses: actions/checkout@v4
      - id: one
        env: {STEP: '${{ env.JOB }}-s'}
        run: |
          echo "$JOB $STEP $CI $GITHUB_REPOSITORY ${{ github.run_id }} ${{ runner.name }}"
          echo "input=[$ACTIONS_RUNNER_INPUT_JITCONFIG]"
          pwd
          echo "LATER=from env" >> $GITHUB_ENV
          echo "v=out" >> $GITHUB_OUTPUT
          mkdir tools; printf '#!/bin/sh\necho tool\n' > tools/my-tool; chmod +x tools/my-tool
          echo "$PWD/tools" >> $GITHUB_PATH
          echo "# Summary" >> $GITHUB_STEP_SUMMARY
      - {run: 'echo "$LATER [$STEP] ${{ steps.one.outputs.v }}"; my-tool; echo ::add-mask::hush; echo hush now'}
      - {shell: sh, working-directory: tools, run: 'ls'}
"##,
    );
    let one = lines(&state, 2);
    assert_eq!(one[..2], ["j3 j3-s true acme/web 5 sr-test-1", "input=[]"]);
    assert!(one[2].ends_with("_work/web/web"), "{one:?}");
    assert_eq!(lines(&state, 3), ["from env [] out", "tool", "*** now"]);
    assert_eq!(lines(&state, 4), ["my-tool"]);
    let report = &state.completed[0];
    assert_eq!((report.outputs["v"].as_str(), report.outputs["job"].as_str()), ("out", "success"));
    assert_eq!(report.summary, "# Summary\n");
    assert_eq!(report.steps[0].name, "Run actions/checkout@v4");
}

#[test]
fn c19_failures_conditions_and_timeouts() {
    let state = Stage::new().finish(
        r#"
    steps:
      - {id: soft, run: 'false', continue-on-error: true}
      - {run: 'echo ${{ steps.soft.outcome }} ${{ steps.soft.conclusion }}'}
      - {run: 'sleep 600', timeout-minutes: 0.003, continue-on-error: true}
      - {run: 'false | true'}
      - {shell: bash, run: 'false | true'}
      - {run: 'echo not reached'}
      - {if: failure(), run: 'echo failed'}
      - {if: always(), run: 'echo "${{ job.status }}"'}
      - {if: cancelled(), run: 'echo never'}
      - {if: always(), run: 'exit 7'}
"#,
    );
    let expected =
        ["success", "success", "success", "success", "failure", "skipped", "success", "success", "skipped", "failure"];
    assert_eq!(conclusions(&state), expected);
    assert_eq!(lines(&state, 2), ["failure success"]);
    assert_eq!(lines(&state, 8), ["failure"]);
    assert_eq!(state.completed[0].conclusion, Conclusion::Failure);
    assert!(state.log.iter().any(|(step, line)| *step == 10 && line.contains("exit code 7")));
}

#[test]
fn c20_cancelling_ends_the_step_and_runs_what_always_runs() {
    let stage = Stage::new();
    stage.offer(
        r#"
    steps:
      - {run: "trap 'echo interrupted; exit 1' INT; echo waiting; while :; do sleep 0.05; done"}
      - {run: 'echo not reached'}
      - {if: always(), run: 'echo cleaning'}
      - {if: cancelled(), run: 'echo cancelled'}
      - {if: failure(), run: 'echo not reached'}
"#,
    );
    let mut process = stage.run();
    stage.broker.step_waits();
    stage.broker.change(|state| state.cancel = true);
    assert_eq!(process.code(), 0);
    let state = stage.broker.state();
    assert_eq!(conclusions(&state), ["cancelled", "skipped", "success", "success", "skipped"]);
    assert_eq!(lines(&state, 1), ["waiting", "interrupted"]);
    assert_eq!(state.completed[0].conclusion, Conclusion::Cancelled);
}

#[test]
fn c20_a_step_that_ignores_signals_is_killed_in_the_end() {
    let stage = Stage::new();
    stage.offer("    steps: [{run: \"trap '' INT TERM; echo waiting; while :; do sleep 0.05; done\"}]\n");
    let mut process = stage.run();
    stage.broker.step_waits();
    let began = std::time::Instant::now();
    stage.broker.change(|state| state.cancel = true);
    assert_eq!(process.code(), 0);
    assert!(began.elapsed().as_millis() >= 10_000, "7.5 s and 2.5 s of grace");
    assert_eq!(stage.broker.state().completed[0].conclusion, Conclusion::Cancelled);
}

#[test]
fn a_job_that_takes_too_long_is_cancelled() {
    let state = Stage::new().finish("    timeout-minutes: 0.01\n    steps: [{run: 'sleep 600'}, {run: 'echo no'}]\n");
    assert_eq!(conclusions(&state), ["cancelled", "skipped"]);
    assert_eq!(state.completed[0].conclusion, Conclusion::Cancelled);
}

#[test]
fn c17_hooks() {
    for (exit, conclusion, steps) in [(0, Conclusion::Success, 1), (3, Conclusion::Failure, 0)] {
        let stage = Stage::new();
        let hook = stage.path().join("hook.sh");
        std::fs::write(&hook, format!("echo hook $GITHUB_JOB\nexit {exit}\n")).unwrap();
        std::fs::set_permissions(&hook, std::fs::Permissions::from_mode(0o755)).unwrap();
        stage.offer("    steps: [{run: 'echo step'}]\n");
        let mut command = stage.command("run.sh");
        command.env("ACTIONS_RUNNER_INPUT_JITCONFIG", stage.jit());
        command.env("ACTIONS_RUNNER_HOOK_JOB_STARTED", &hook).env("ACTIONS_RUNNER_HOOK_JOB_COMPLETED", &hook);
        let mut process = stage.start(command);
        assert_eq!(process.code(), 0);
        let state = stage.broker.state();
        assert_eq!((state.completed[0].conclusion, state.completed[0].steps.len()), (conclusion, steps));
        assert!(lines(&state, 0).contains(&"hook build"));
    }
}

#[test]
fn c21_leftovers_are_killed() {
    let stage = Stage::new();
    let state = stage.finish("    steps: [{run: 'setsid sleep 601 > /dev/null 2>&1 & echo started'}]\n");
    assert!(lines(&state, 0).iter().any(|line| line.starts_with("Terminate orphan process")), "{:?}", state.log);
    let here = stage.path().to_string_lossy().into_owned();
    until("it is gone", || processes("sleep", &here).is_empty());
}

#[test]
fn many_and_long_lines_arrive_in_order() {
    let state = Stage::new()
        .finish("    steps: [{run: 'seq 20000; head -c 100000 /dev/zero | tr \"\\\\0\" x; echo; echo end'}]\n");
    let lines = lines(&state, 1);
    assert_eq!(lines.len(), 20_002);
    assert_eq!((lines[0], lines[19_999], lines[20_001]), ("1", "20000", "end"));
    assert!(lines[20_000].len() <= crate::standin::wire::LOG_LINE_BYTES_MAX);
}

#[test]
fn a_job_that_is_over_for_the_server_is_given_up() {
    let stage = Stage::new();
    stage.offer("    steps: [{run: 'echo waiting; sleep 600'}]\n");
    let mut process = stage.run();
    stage.broker.step_waits();
    stage.broker.change(|state| state.job_gone = true);
    assert_eq!(process.code(), 0);
    assert!(stage.broker.state().completed.is_empty());
    assert!(process.text().contains("completed with result: Abandoned"));
}
