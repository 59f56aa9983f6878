//! Messages on the channel of the elections from somebody who is none of them: garbage, and lies that are
//! well formed.

use fastrand::Rng;
use node_red_cluster_testkit::{Server, Value};
use serde_json::json;

/// A message about this lock, most often one that knows what the store has.
pub(crate) async fn message(server: &Server, lock: &str, random: &mut Rng) -> Vec<u8> {
    let record = format!("{lock}:election");
    let reply = server.command(&["HGETALL", &record]).await;
    let fields: Vec<String> = reply
        .iter()
        .flat_map(Value::elements)
        .filter_map(|value| value.text().map(str::to_owned))
        .collect();
    let field = |name: &str| {
        let at = fields.iter().step_by(2).position(|of| of == name);
        at.map_or_else(String::new, |at| fields[2 * at + 1].clone())
    };
    let token: u64 = field("token").parse().unwrap_or(7);
    let written = |token: u64, beat: &str, state: &str, holder: &str, run: &str| {
        let message = json!({
            "lock": lock, "token": token, "beat": beat, "state": state, "holder": holder, "run": run,
        });
        message.to_string().into_bytes()
    };
    let (beat, holder, run) = (field("beat"), field("holder"), field("run"));
    match random.u32(..12) {
        0 => (0..random.usize(..64)).map(|_| random.u8(..)).collect(),
        1 => b"{\"lock\":".to_vec(),
        2 => vec![b'['; 100_000],
        3 => json!({"lock": lock, "token": -1, "beat": [], "state": {}})
            .to_string()
            .into_bytes(),
        4 => json!({"lock": lock, "__proto__": {"token": 1}})
            .to_string()
            .into_bytes(),
        // The leader has released, so it says.
        5 => written(token, &beat, "released", &holder, &run),
        6 => written(token + 1, "1", "released", &holder, &run),
        // It renewed, so it says: that is for a while what keeps others back.
        7 => written(
            token,
            &format!("{:x}", random.u64(..)),
            "held",
            &holder,
            &run,
        ),
        // Another one leads with the largest of tokens.
        8 => written(u64::MAX, "2", "held", "somebody", &run),
        9 => written((1 << 53) - 1, "3", "held", "somebody", &run),
        10 => written(token, &beat, "held", &holder, "another run"),
        _ => json!({"lock": lock, "wanted": "somebody"})
            .to_string()
            .into_bytes(),
    }
}
