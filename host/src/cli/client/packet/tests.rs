//! Packets that are read and written, and malformed packets of a hostile server.

use super::*;

fn decode(text: &str) -> Result<Option<Packet>, PacketError> {
    Decoder::new("/").text(text)
}

fn payload(json: &str) -> Payload {
    Payload {
        json: json.to_owned(),
        attachments: Vec::new(),
    }
}

#[test]
fn packets_are_read() {
    assert_eq!(decode(r#"0{"sid":"x"}"#).unwrap(), Some(Packet::Connected));
    assert_eq!(decode("1").unwrap(), Some(Packet::Disconnected));
    assert_eq!(
        decode(r#"4{"message":"no"}"#).unwrap(),
        Some(Packet::Refused("no".into()))
    );
    assert_eq!(
        decode(r#"212["a b",1,{"c": [2]}]"#).unwrap(),
        Some(Packet::Event {
            name: "a b".into(),
            args: payload(r#"[1,{"c": [2]}]"#),
            ack: Some(12)
        })
    );
    assert_eq!(
        decode("30[]").unwrap(),
        Some(Packet::Ack {
            id: 0,
            args: payload("[]")
        })
    );
}

#[test]
fn what_is_for_other_namespaces_is_passed_over() {
    let mut decoder = Decoder::new("/chat");
    assert_eq!(decoder.text(r#"2["a"]"#).unwrap(), None);
    assert_eq!(decoder.text(r#"2/chats,["a"]"#).unwrap(), None);
    let event = decoder.text(r#"2/chat,["a"]"#).unwrap();
    assert!(matches!(event, Some(Packet::Event { .. })));
    assert_eq!(decoder.text("1/chat").unwrap(), Some(Packet::Disconnected));
}

#[test]
fn attachments_are_put_in_place() {
    let mut decoder = Decoder::new("/");
    let text = r#"52-["a",{"_placeholder":true,"num":1},[{"_placeholder":true,"num":0}]]"#;
    assert_eq!(decoder.text(text).unwrap(), None);
    assert_eq!(decoder.binary(Bytes::from_static(b"x")).unwrap(), None);
    let Some(Packet::Event { args, .. }) = decoder.binary(Bytes::from_static(b"y")).unwrap() else {
        panic!("an event");
    };
    assert_eq!(args.attachments, ["x", "y"]);
}

#[test]
fn what_is_written_can_be_read() {
    let sent = Payload {
        json: r#"["e",{"_placeholder":true,"num":0}]"#.into(),
        attachments: vec![Bytes::from_static(b"x")],
    };
    let text = event("/chat", Some(3), &sent);
    assert_eq!(text, r#"451-/chat,3["e",{"_placeholder":true,"num":0}]"#);
    let mut decoder = Decoder::new("/chat");
    assert_eq!(decoder.text(&text[1..]).unwrap(), None);
    let read = decoder.binary(Bytes::from_static(b"x")).unwrap();
    assert!(matches!(read, Some(Packet::Event { ack: Some(3), .. })));
    assert_eq!(ack("/", 5, &Payload::empty()), "435[]");
    assert_eq!(connect("/", None), "40");
    assert_eq!(connect("/a", Some("{}")), "40/a,{}");
    assert_eq!(disconnect("/a"), "41/a,");
}

#[test]
fn nothing_that_a_server_sends_is_trusted() {
    let deep = format!("2[\"a\",{}{}]", "[".repeat(200), "]".repeat(200));
    for bad in [
        "",
        "7[]",
        "é",
        "2",
        "2{}",
        "2[]",
        "2[1]",
        "2[null,1]",
        "2[\"a\"",
        "2[\"a\"]x",
        "3[]",
        "31",
        "399999999999999999999[]",
        "5[\"a\"]",
        "5-[\"a\"]",
        "5-1-[\"a\"]",
        "5é-[\"a\"]",
        "511-[\"a\"]",
        "5999999999999999999999-[\"a\"]",
        "54294967296-[\"a\"]",
        deep.as_str(),
    ] {
        assert!(decode(bad).is_err(), "{bad}");
    }
}

#[test]
fn attachments_that_belong_to_nothing_are_refused() {
    let mut decoder = Decoder::new("/");
    assert!(decoder.binary(Bytes::new()).is_err());
    decoder.text(r#"51-["a"]"#).unwrap();
    assert!(decoder.text(r#"2["a"]"#).is_err(), "in between");
    let mut decoder = Decoder::new("/");
    let beyond = r#"51-["a",{"_placeholder":true,"num":1}]"#;
    decoder.text(beyond).unwrap();
    assert!(decoder.binary(Bytes::new()).is_err(), "out of range");
}

#[test]
fn the_handshake_says_how_long_silence_may_last() {
    let open =
        r#"0{"sid":"x","upgrades":[],"pingInterval":25000,"pingTimeout":20000,"maxPayload":1}"#;
    let silence = Duration::from_secs(45);
    assert_eq!(Frame::read(open).unwrap(), Frame::Open { silence });
    let huge = format!(
        r#"0{{"sid":"x","pingInterval":{0},"pingTimeout":{0}}}"#,
        u64::MAX
    );
    assert!(matches!(Frame::read(&huge), Ok(Frame::Open { .. })));
    for bad in ["", "0", "0[]", "0{\"sid\":1}", "7", "ü", "hello"] {
        assert!(Frame::read(bad).is_err(), "{bad}");
    }
}
