//! `GET /agents`: who sits in a call centre and what their telephones do, as the API of an Asterisk
//! server would tell it.

use std::sync::LazyLock;

use serde::Serialize;

use super::data::Random;
use crate::reply::Reply;
use crate::request::Request;

/// What the list follows from.
const SEED: u64 = 2001;

/// The agents' numbers.
const NUMBERS: std::ops::RangeInclusive<u32> = 1001..=1040;

/// An agent.
#[derive(Serialize)]
struct Agent {
    number: String,
    extension: String,
    context: &'static str,
    state_interface: String,
    status: &'static str,
    extension_status: &'static str,
    paused: bool,
}

/// The list, made by the first request for it.
static LIST: LazyLock<Vec<Agent>> = LazyLock::new(list);

fn list() -> Vec<Agent> {
    let mut random = Random::new(SEED);
    NUMBERS.map(|number| agent(number, &mut random)).collect()
}

/// An agent whose telephone is in a state that goes with their own.
fn agent(number: u32, random: &mut Random) -> Agent {
    let context = random.pick(&["default", "sales", "support"]);
    let extension = number + 1000;
    let state_interface = match random.below(3) {
        0 => format!("Local/{extension}@{context}"),
        _ => format!("SIP/{extension}"),
    };
    let status = random.pick(&["not_logged", "logged", "on_call", "wrapup"]);
    let extension_status = match status {
        "not_logged" => random.pick(&["idle", "unavailable"]),
        "logged" => random.pick(&["idle", "ringing"]),
        "on_call" => random.pick(&["in_use", "on_hold"]),
        _ => "idle",
    };
    let paused = status == "logged" && extension_status == "idle" && random.below(3) == 0;
    Agent {
        number: number.to_string(),
        extension: extension.to_string(),
        context,
        state_interface,
        status,
        extension_status,
        paused,
    }
}

/// `GET /agents`: all agents, serialised for each request.
pub fn agents(_request: &Request<'_>, reply: &mut Reply<'_>) {
    reply.json(200, &*LIST);
}

#[cfg(test)]
mod tests {
    use crate::request::testing::get;
    use crate::site::Site;

    #[test]
    fn a_list_of_about_6_kb() {
        let response = get(&Site::default(), "/agents", "");
        assert_eq!(response.status, 200);
        assert_eq!(response.header("Content-Type"), Some("application/json"));
        assert!((5_500..=6_500).contains(&response.body.len()), "{}", response.body.len());
        let agents: Vec<serde_json::Value> = serde_json::from_slice(&response.body).unwrap();
        assert_eq!(agents.len(), 40);
        for (agent, number) in agents.iter().zip(1001..) {
            assert_eq!(agent.as_object().unwrap().len(), 7);
            assert_eq!(agent["number"], number.to_string());
            let interface = agent["state_interface"].as_str().unwrap();
            assert!(interface.contains(agent["extension"].as_str().unwrap()), "{agent}");
            assert!(agent["context"].is_string() && agent["paused"].is_boolean(), "{agent}");
        }
    }

    #[test]
    fn a_list_with_every_state() {
        let body = String::from_utf8(get(&Site::default(), "/agents", "").body).unwrap();
        for status in ["not_logged", "logged", "on_call", "wrapup"] {
            assert!(body.contains(&format!(r#""status":"{status}""#)), "{status}");
        }
        for status in ["idle", "in_use", "on_hold", "ringing", "unavailable"] {
            assert!(body.contains(&format!(r#""extension_status":"{status}""#)), "{status}");
        }
        assert!(body.contains(r#""paused":true"#) && body.contains(r#""paused":false"#));
    }

    #[test]
    fn the_list_is_the_same_in_every_process() {
        let body = String::from_utf8(get(&Site::default(), "/agents", "").body).unwrap();
        let first = r#"[{"number":"1001","extension":"2001","context":"default","state_interface":"SIP/2001","status":"on_call","extension_status":"in_use","paused":false}"#;
        let last = r#"{"number":"1040","extension":"2040","context":"support","state_interface":"SIP/2040","status":"logged","extension_status":"ringing","paused":false}]"#;
        assert_eq!(body.get(..first.len()), Some(first));
        assert_eq!(body.get(body.len() - last.len()..), Some(last));
    }
}
