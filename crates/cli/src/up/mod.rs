//! The command `up`: a cluster on one machine, supervised.
//!
//! Order of a start: what was asked for is checked (`plan`), the directory is held (`directory`),
//! what an earlier run left behind is ended (`leftovers`), then come the store (`store`) and the
//! instances (`settings`), each run by a keeper of its own (`keeper`, `child`, `lines`,
//! `readiness`, `restart`). The `supervisor` hears from the keepers and talks to the operator.
//! The instances end first, the store after them.

mod child;
mod directory;
mod keeper;
mod leftovers;
mod lines;
mod plan;
mod readiness;
mod restart;
mod settings;
mod store;
mod store_url;
mod supervisor;
mod system;
mod table;

use std::ffi::OsString;
use std::io;
use std::net::TcpListener;
use std::time::Duration;

use tokio::sync::mpsc;

use crate::arguments::UpArguments;
use crate::environment::Environment;
use crate::failure::Failure;
use crate::stop::{Stop, Urgency};
use crate::terminal::{Colour, Terminal};

use child::ChildPlan;
use keeper::Group;
use plan::{Instance, Plan};
use readiness::Readiness;
use store_url::{Answer, StoreUrl};
use supervisor::{Outcome, Supervisor};

/// The supervisor's name in front of its lines.
const OWN_NAME: &str = "cluster";
/// Ends of an instance that was never ready after which it is given up.
const INSTANCE_ATTEMPTS: u32 = 3;
/// How long an instance may take to end: Node-RED gives its nodes 15 seconds to close.
const INSTANCE_PATIENCE: Duration = Duration::from_secs(20);
/// What a shell reports for a program that its user interrupted.
const EXIT_INTERRUPTED: i32 = 130;

/// Runs a cluster until the operator asks for a stop. Returns the exit code.
pub(crate) async fn up(
    arguments: UpArguments,
    environment: &Environment,
    terminal: &Terminal,
    mut stop: Stop,
) -> Result<i32, Failure> {
    let plan = Plan::of(&arguments, environment)?;
    let _hold = plan.directory.hold()?;
    leftovers::end(&plan.directory, terminal, &mut stop).await;
    check_ports(&plan)?;

    let labels = Labels::of(&plan, terminal);
    let (url, own_store) = choose_store(&plan, environment, &labels).await?;
    let instances = prepare_instances(&plan, environment, &url, &labels)?;

    let (news, inbox) = mpsc::unbounded_channel();
    let mut supervisor = Supervisor::new(inbox, terminal, labels.own());
    let mut groups = Groups {
        store: Group::new(terminal, &news),
        instances: Group::new(terminal, &news),
    };
    let followed = async {
        for children in [own_store.into_iter().collect(), instances] {
            groups.start(children, &mut supervisor);
            if supervisor.until_ready(&mut stop).await? == Outcome::StopRequested {
                return Ok(());
            }
        }
        let pid_of = |name: &str| supervisor.pid_of(name);
        for line in table::table(&plan, &url, pid_of, terminal.style()) {
            terminal.line(&line);
        }
        supervisor.until_stop(&mut stop).await
    }
    .await;

    // However the above ended, nothing stays behind.
    supervisor.say("stopping; Ctrl-C again to stop at once");
    groups.instances.end(&mut stop).await;
    groups.store.end(&mut stop).await;
    followed?;
    if stop.is_requested(Urgency::AtOnce) {
        supervisor.say("stopped at once");
        Ok(EXIT_INTERRUPTED)
    } else {
        supervisor.say("stopped");
        Ok(0)
    }
}

/// The children, in the groups that end one after the other.
struct Groups {
    store: Group,
    instances: Group,
}

impl Groups {
    fn start(&mut self, children: Vec<ChildPlan>, supervisor: &mut Supervisor) {
        for child in children {
            supervisor.expect(&child);
            if child.name == store::NAME {
                self.store.keep(child);
            } else {
                self.instances.keep(child);
            }
        }
    }
}

/// What lines of output begin with: a name, in its colour, padded to the longest.
struct Labels<'a> {
    terminal: &'a Terminal,
    width: usize,
}

impl<'a> Labels<'a> {
    fn of(plan: &Plan, terminal: &'a Terminal) -> Self {
        let names = plan.instances.iter().map(|instance| instance.name.len());
        let width = names.chain([OWN_NAME.len()]).max().unwrap_or_default();
        Self { terminal, width }
    }

    fn own(&self) -> String {
        self.label(OWN_NAME, Colour::Bold)
    }

    fn of_store(&self) -> String {
        self.label(store::NAME, Colour::Dim)
    }

    fn of_instance(&self, name: &str, index: usize) -> String {
        self.label(name, Colour::of_instance(index))
    }

    fn label(&self, name: &str, colour: Colour) -> String {
        let padded = format!("{name:width$} | ", width = self.width);
        self.terminal.style().paint(colour, &padded)
    }
}

/// Refuses to begin when an instance could not listen.
fn check_ports(plan: &Plan) -> Result<(), Failure> {
    for instance in &plan.instances {
        let Err(error) = TcpListener::bind((plan.host, instance.port)) else {
            continue;
        };
        let (name, port, host) = (&instance.name, instance.port, plan.host);
        return Err(Failure::Refused(match error.kind() {
            io::ErrorKind::AddrInUse => format!(
                "Port {port} on {host} is in use, and {name} needs it. Stop whoever listens \
                 there, or choose other ports with --port (the admin takes that one, the workers \
                 those after it)."
            ),
            io::ErrorKind::AddrNotAvailable => format!(
                "This machine has no address {host}. Give --host one of its own, or 0.0.0.0 for \
                 all of them."
            ),
            io::ErrorKind::PermissionDenied => format!(
                "This user may not listen on port {port}, which {name} needs. Choose ports from \
                 1024 on with --port."
            ),
            _ => format!(
                "{name} could not listen on port {port} of {host}: {error}. Choose others with \
                 --port and --host."
            ),
        }));
    }
    Ok(())
}

/// The store that the operator named, if it answers; else one of our own, and how to run it.
async fn choose_store(
    plan: &Plan,
    environment: &Environment,
    labels: &Labels<'_>,
) -> Result<(StoreUrl, Option<ChildPlan>), Failure> {
    if let Some(url) = &plan.store {
        return answering(url).await.map(|url| (url, None));
    }
    let program = store::program(environment)?;
    let instances = plan.instances.iter();
    let reserved: Vec<u16> = instances.map(|instance| instance.port).collect();
    let port = store::choose_port(&plan.directory, &reserved)?;
    let child = store::child(program, port, &plan.directory, labels.of_store());
    Ok((StoreUrl::of_own(port), Some(child)))
}

/// The store at a URL, if it answers.
async fn answering(url: &StoreUrl) -> Result<StoreUrl, Failure> {
    match url.ask().await {
        Answer::Ready | Answer::Loading => Ok(url.clone()),
        Answer::Unusable(why) => Err(Failure::Refused(format!(
            "The store at {url} does not answer as it should: {why}. Check --url, and that the \
             store runs and takes these credentials; without --url a store is started for you."
        ))),
    }
}

/// Writes the settings of all instances and says how to run them.
fn prepare_instances(
    plan: &Plan,
    environment: &Environment,
    store: &StoreUrl,
    labels: &Labels<'_>,
) -> Result<Vec<ChildPlan>, Failure> {
    let prepare = |(index, instance): (usize, &Instance)| {
        let user_directory = &instance.user_directory;
        let settings_file = user_directory.join("settings.js");
        plan.directory.create(user_directory)?;
        plan.directory.write(
            &settings_file,
            &settings::settings(plan, instance, store, &environment.package_root),
        )?;
        // Node-RED replaces its command line by this title; the directory in it lets a later `up`
        // recognise the process.
        let mut title = OsString::from("node-red-cluster ");
        title.push(user_directory);
        Ok(ChildPlan {
            name: instance.name.clone(),
            label: labels.of_instance(&instance.name, index),
            program: environment.node.clone(),
            arguments: vec![
                plan.node_red.clone().into(),
                "--userDir".into(),
                user_directory.into(),
                "--settings".into(),
                settings_file.into(),
                "--title".into(),
                title,
            ],
            working_directory: user_directory.clone(),
            pid_file: plan.directory.pid_file(&instance.name),
            readiness: Readiness::Http(plan.address(instance.port)),
            attempts: INSTANCE_ATTEMPTS,
            patience: INSTANCE_PATIENCE,
        })
    };
    plan.instances.iter().enumerate().map(prepare).collect()
}
