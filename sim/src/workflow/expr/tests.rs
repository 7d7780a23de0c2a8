//! Tests of expressions, as a table of text and answer.

use serde_json::{Value, json};

use super::{Scope, Status, condition, evaluate, parse};

fn scope() -> Scope {
    let needs = json!({"a": {"result": "success", "outputs": {"v": "1"}}, "b": {"result": "failure"}});
    Scope::new([
        ("matrix", json!({"os": "linux", "n": 3, "list": ["x", "Y"]})),
        ("needs", needs),
        ("env", json!({"EMPTY": "", "NAME": "Ada"})),
    ])
}

fn value(text: &str) -> Value {
    evaluate(&parse(text).unwrap(), &scope()).unwrap()
}

#[test]
fn answers() {
    let table = [
        ("1", json!(1)),
        ("-1.5", json!(-1.5)),
        ("0x10", json!(16)),
        ("'it''s'", json!("it's")),
        ("matrix.os == 'LINUX'", json!(true)),
        ("matrix.n >= 3 && matrix.n < 4", json!(true)),
        ("matrix.n == '3'", json!(true)),
        ("matrix.missing == null", json!(true)),
        ("matrix.missing == 0", json!(true)),
        ("'abc' == 0", json!(false)),
        ("env.EMPTY || 'none'", json!("none")),
        ("env.NAME && 'yes'", json!("yes")),
        ("!env.EMPTY", json!(true)),
        ("!!true", json!(true)),
        ("(1 == 1) == true", json!(true)),
        ("matrix['list'][1]", json!("Y")),
        ("matrix.list[9]", json!(null)),
        ("matrix.list[-1]", json!(null)),
        ("needs.a.outputs.v", json!("1")),
        ("contains(needs.*.result, 'failure')", json!(true)),
        ("join(needs.*.result, '+')", json!("success+failure")),
        ("contains('Hello', 'ELL')", json!(true)),
        ("startsWith('Hello', 'he')", json!(true)),
        ("endsWith('Hello', 'LO')", json!(true)),
        ("format('{0}-{1} {{}}', 'a', 2)", json!("a-2 {}")),
        ("toJSON(matrix.list)", json!("[\n  \"x\",\n  \"Y\"\n]")),
        ("fromJSON('[1]')[0]", json!(1)),
        ("1 < 2 == true", json!(true)),
        ("secrets.TOKEN", json!(null)),
    ];
    for (text, expected) in table {
        assert_eq!(value(text), expected, "{text}");
    }
}

#[test]
fn mistakes_are_told() {
    let table = [
        ("", "empty"),
        ("'open", "not closed"),
        ("\"x\"", "single quotes"),
        ("linux", "unknown"),
        ("nope()", "not known"),
        ("contains('a')", "takes 2 to 2"),
        ("(1", "`)` is expected"),
        ("1 2", "not expected"),
        ("matrix.", "name is missing"),
        ("1 &&", "value is missing"),
        ("== 1", "value is expected"),
        ("1x", "not a number"),
    ];
    for (text, part) in table {
        let error = parse(text).unwrap_err().0;
        assert!(error.contains(part), "{text}: {error}");
    }
    for text in ["(".repeat(5_000), "!".repeat(5_000), vec!["1"; 5_000].join("=="), "a".repeat(30_000)] {
        assert!(parse(&text).is_err());
    }
    assert!(parse(&vec!["true"; 3_000].join("&&")).is_ok(), "a long chain is not a deep one");
    for text in ["format('{9}')", "format('{')", "format('}')", "fromJSON('{')", "always()"] {
        assert!(evaluate(&parse(text).unwrap(), &scope()).is_err(), "{text}");
    }
}

#[test]
fn conditions_mean_success_unless_they_ask() {
    let good = scope().with_status(Status { success: true, failure: false, cancelled: false });
    let bad = scope().with_status(Status { success: false, failure: true, cancelled: false });
    let table = [
        (None, true, false),
        (Some("true"), true, false),
        (Some("always()"), true, true),
        (Some("${{ failure() }}"), false, true),
        (Some("cancelled()"), false, false),
        (Some("success() || failure()"), true, true),
        (Some("matrix.os == 'mac'"), false, false),
        (Some(""), true, false),
    ];
    for (text, when_good, when_bad) in table {
        assert_eq!(condition(text, &good).unwrap(), when_good, "{text:?}");
        assert_eq!(condition(text, &bad).unwrap(), when_bad, "{text:?}");
    }
}
