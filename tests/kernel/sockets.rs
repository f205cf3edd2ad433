use std::collections::BTreeMap;
use weft::probe::object::{Options, load};

#[test]
fn loads() {
    let options = Options {
        ring_bytes: 1 << 20,
        connections: 1024,
        watch_new: true,
        btf: None,
        forced: BTreeMap::new(),
    };
    let mut loaded = load(&options).unwrap();
    for report in &loaded.reports {
        for (c, s) in &report.candidates {
            println!("{} {} {:?}", report.subject.name, c.name, s);
        }
    }
    println!("{:?}", loaded.verified_instructions());
    for forced in ["sys_exit", "syscalls"] {
        let options = Options {
            forced: BTreeMap::from([("socket_io".to_owned(), forced.to_owned())]),
            ..options.clone()
        };
        loaded = load(&options).unwrap();
        for (c, s) in &loaded.reports[0].candidates {
            println!("{} {:?}", c.name, s);
        }
        println!("{:?}", loaded.verified_instructions());
    }
}
