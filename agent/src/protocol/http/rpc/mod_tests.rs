use super::*;

#[test]
fn methods_of_paths() {
    for (path, expected) in [
        ("/shop.Cart/Add", Some("shop.Cart/Add")),
        ("/api/v1/shop.Cart/Add", Some("shop.Cart/Add")),
        ("/Cart/Add", Some("Cart/Add")),
        ("/Add", None),
        ("//Add", None),
        ("/Cart/", None),
        ("/Cart/A%20b", None),
        ("*", None),
    ] {
        assert_eq!(method(path), expected, "{path}");
    }
}

#[test]
fn timeouts() {
    for (text, expected) in [
        ("100m", Some(100_000_000)),
        ("1S", Some(1_000_000_000)),
        ("99999999u", Some(99_999_999_000)),
        ("2H", Some(7_200_000_000_000)),
        ("123456789n", None),
        ("m", None),
        ("1s", None),
        ("", None),
        ("-1m", None),
    ] {
        assert_eq!(timeout(text.as_bytes()), expected, "{text}");
    }
}

fn head(method: &'static str, media: Option<Media>, connects: bool, query: Option<&str>) -> Head {
    let mut head = Head {
        method: Cow::Borrowed(method),
        query: query.map(str::to_owned),
        ..Head::default()
    };
    head.fields.media = media;
    head.fields.connects = connects;
    head
}

#[test]
fn which_requests_are_calls() {
    let connect = Some("a=b&connect=v1");
    for (head, expected) in [
        (
            head("POST", Some(Media::Grpc), false, None),
            Some(System::Grpc),
        ),
        (
            head("POST", Some(Media::WebText), false, None),
            Some(System::Web { text: true }),
        ),
        (
            head("POST", Some(Media::Connect), true, None),
            Some(System::Streaming),
        ),
        (head("POST", None, true, None), Some(System::Unary)),
        (head("GET", None, false, connect), Some(System::Unary)),
        (head("GET", Some(Media::Grpc), false, None), None),
        (head("GET", None, true, None), None),
        (head("POST", None, false, connect), None),
        (head("POST", None, false, None), None),
    ] {
        assert_eq!(
            Call::of(&head).map(|call| call.system),
            expected,
            "{head:?}"
        );
    }
}

#[test]
fn a_reset_behind_the_deadline() {
    let moment = |at| Moment {
        at,
        ..Moment::default()
    };
    let mut asked = head("POST", Some(Media::Grpc), false, None);
    asked.fields.timeout = Some(100_000_000);
    for (by_client, waited, expected) in [
        (true, 50_000_000, "CANCELLED"),
        (true, 99_900_000, "DEADLINE_EXCEEDED"),
        (false, 150_000_000, "CANCELLED"),
    ] {
        let mut call = Call::of(&asked).expect("a call");
        let outcome = call.reset(by_client, 8, moment(7), moment(7 + waited));
        let kind = expected.to_owned();
        let expected = if expected == "CANCELLED" {
            Outcome::ClientError { kind }
        } else {
            Outcome::ServerError { kind }
        };
        assert_eq!(outcome, Some(expected));
    }
}
