//! `HelloHandler`.

use lambdas::{hello, http};

use crate::bench::request;

#[test]
fn it_says_what_it_is_and_that_nothing_else_is_here() {
    let said = |method, path| hello::answer(&request(method, path, &[], "", false));
    assert_eq!((said("GET", "/").status, said("GET", "/healthz").status), (200, 200));
    assert!(said("GET", "/").body.to_string().contains("\"name\":\"self-runners\""));
    assert_eq!((said("POST", "/").status, said("GET", "/nowhere").status), (405, 404));
}

#[test]
fn an_answer_is_json_for_the_api() {
    let response = http::response(&hello::answer(&request("GET", "/healthz", &[], "", false)));
    let json = serde_json::to_value(response).unwrap();
    assert_eq!((&json["statusCode"], &json["headers"]["content-type"]), (&200.into(), &"application/json".into()));
    assert_eq!(json["body"], r#"{"status":"ok"}"#);
}
