use std::collections::BTreeMap;
use weft::daemon::capture::*;
use weft::pipeline::*;
fn main() {
    let secs: u64 = std::env::args().nth(1).and_then(|s| s.parse().ok()).unwrap_or(10);
    let forced = std::env::args().nth(2).map(|f| BTreeMap::from([("socket_io".to_owned(), f)])).unwrap_or_default();
    let quiet = std::env::var("QUIET").is_ok();
    let t = std::time::Instant::now();
    let plan = Plan {
        probes: weft::probe::object::Options { ring_bytes: 8 << 20, connections: 16384, watch_new: true, btf: None, forced },
        pipeline: Options { table: Default::default(), protocol: Default::default(), assembly: Default::default(), routes: Default::default(), query: Default::default() },
        rules: Default::default(), only: None, log: None,
    };
    let mut c = Capture::start(plan).unwrap();
    eprintln!("ready {:?}", t.elapsed());
    let mut out = |o: Output| if let Output::Trace { spans, complete } = o { if quiet { return }
        println!("trace {} complete={complete}", spans[0].trace);
        for s in &spans { println!("   {:?} {} [{}] parent={:?} {:.3}ms {:?} {:?}", s.role, s.name, s.service.name, s.parent.map(|p| (p.id.to_string(), p.evidence)), (s.end - s.start) as f64 / 1e6, s.status, s.attributes.iter().map(|a| format!("{}={:?}", a.key, a.value)).collect::<Vec<_>>().join(" ")); }
    };
    while t.elapsed().as_secs() < secs { c.turn(&mut out).unwrap(); }
    c.stop(&mut out).unwrap();
    eprintln!("{:?}\nlosses {:?} undecodable {} sizes {:?}", c.counts(), c.losses(), c.undecodable(), c.sizes());
    eprintln!("{}", std::fs::read_to_string("/proc/self/status").unwrap().lines().filter(|l| l.starts_with("VmRSS") || l.starts_with("Rss") || l.starts_with("VmHWM")).collect::<Vec<_>>().join(" "));
    eprintln!("{}", std::fs::read_to_string("/proc/self/stat").unwrap().split(' ').skip(13).take(2).collect::<Vec<_>>().join(" "));
}
