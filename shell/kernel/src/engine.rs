//! The reconciler itself, synchronous, on a thread inside its network namespace.

mod inspect;

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};
use std::{fs, io, thread};

use crate::around::{Around, Interest, OtherRoute, ROUTES_MAX};
use crate::desired::label_of;
use crate::diff::{Actual, Veths, diff};
use crate::netlink::{ActualLink, Connections, Listener, Netlink};
use crate::nft::Nft;
use crate::state::{SavedFirewall, SavedLink, SavedSysctl, State, StateFile};
use crate::table::Table;
use crate::watch::Watch;
use crate::{
    Address, Change, Changes, Desired, Flows, IpVersion, KernelError, Link, Lookup, MAIN_TABLE,
    Member, Owner, Road, Route, Rule, RuleAction, sysctl,
};

/// Reads, compares and changes the kernel state of the namespace its thread is in.
pub(crate) struct Engine {
    owner: Owner,
    netlink: Netlink,
    table: Table,
    file: StateFile,
    state: State,
    /// Whether another process looks after this namespace.
    beside: bool,
}

impl Engine {
    /// Opens what it needs in the calling thread's namespace, known as `place`; `beside` a gateway that runs it
    /// only looks.
    pub(crate) fn open(
        owner: Owner,
        folder: &Path,
        place: &str,
        beside: bool,
    ) -> Result<Self, KernelError> {
        owner.check()?;
        let netlink = Netlink::open().map_err(|error| refused("open a netlink socket", error))?;
        let number = fs::metadata("/proc/thread-self/ns/net")
            .map_err(|error| refused("read the network namespace's number", error))?
            .ino();
        let file = StateFile::new(folder, &format!("{}@{place}", owner.name));
        let state = file.load(number)?;
        let table = Table::new(Nft::new(owner.nft_table()), file.path(), number);
        Ok(Self { owner, netlink, table, file, state, beside })
    }

    /// Listens to changes in this namespace; inside a runtime.
    pub(crate) fn watch(&self) -> Result<Watch, KernelError> {
        let failed = |error| refused("listen to changes", error);
        let routes = Listener::to_routes(self.owner.protocol).map_err(failed)?;
        let nftables = Listener::to_nftables(&self.owner.nft_table())
            .inspect_err(|error| tracing::debug!(%error, "changes of nftables stay unknown"))
            .ok();
        Ok(Watch { routes, nftables })
    }

    /// What is there and not ours.
    pub(crate) fn around(&mut self, interest: &Interest) -> Result<Around, KernelError> {
        let tag = self.owner.protocol;
        let failed = |doing| move |error| refused(doing, error);
        let links = self.netlink.links().map_err(failed("read links"))?;
        let all = self.netlink.addresses(&links, tag).map_err(failed("read addresses"))?;
        let theirs = |(address, tagged): &(Address, bool)| {
            !tagged && !self.state.addresses.contains(address)
        };
        let addresses: Vec<_> =
            all.into_iter().filter(theirs).map(|(address, _)| address).collect();
        let mut filters = BTreeMap::new();
        for link in addresses.iter().map(|address| &address.link) {
            let filter = sysctl::reverse_path_filter(link);
            let filter = filter.map_err(|error| refused("read rp_filter", error))?;
            filters.insert(link.clone(), filter);
        }
        let routes = self.routes_of_others(&links, MAIN_TABLE, interest)?;
        let mut rules = Vec::new();
        for rule in self.netlink.rules_of_others(tag).map_err(failed("read rules"))? {
            let before = (1..MAIN_RULE).contains(&rule.priority) && rule.mark.is_none();
            let (RuleAction::Lookup(table) | RuleAction::LookupSpecific(table)) = rule.action
            else {
                continue;
            };
            if !before {
                continue;
            }
            let mut routes = match table {
                MAIN_TABLE => Vec::new(),
                _ => self.routes_of_others(&links, table, interest)?,
            };
            let specific = matches!(rule.action, RuleAction::LookupSpecific(_));
            let is_ipv4 = rule.version == IpVersion::V4;
            routes.retain(|route| {
                let of_version = route.destination.addr().is_ipv4() == is_ipv4;
                of_version && !(specific && route.destination.prefix_len() == 0)
            });
            rules.push((rule, routes));
        }
        Ok(Around { addresses, routes, rules, filters })
    }

    fn routes_of_others(
        &mut self,
        links: &[ActualLink],
        table: u32,
        interest: &Interest,
    ) -> Result<Vec<OtherRoute>, KernelError> {
        let tag = self.owner.protocol;
        let mut routes = self
            .netlink
            .routes_of_others(links, (table, tag), interest)
            .map_err(|error| refused(&format!("read table {table}"), error))?;
        routes.truncate(ROUTES_MAX);
        Ok(routes)
    }

    /// Forgets connections of this thread's namespace; answers how many.
    pub(crate) fn forget_connections(flows: &[Flows]) -> Result<usize, KernelError> {
        let forgotten = Connections::open().and_then(|mut table| table.forget(flows));
        forgotten.map_err(|error| refused("forget connections", error))
    }

    /// Where the kernel would send a packet.
    pub(crate) fn look_up(&mut self, lookup: &Lookup) -> Result<Road, KernelError> {
        let failed = |error| refused(&format!("look up the way to {}", lookup.to), error);
        let links = self.netlink.links().map_err(failed)?;
        let input = links.iter().find(|link| link.name == lookup.input);
        let input = input.ok_or_else(|| KernelError::NoLink(lookup.input.clone()))?.index;
        self.netlink.look_up(lookup, input).map_err(failed)
    }

    /// The changes that lead to `desired`.
    pub(crate) fn plan(&mut self, desired: &Desired) -> Result<Changes, KernelError> {
        let desired = self.possible(&normal(desired, &self.owner)?)?;
        let actual = self.read(&desired)?;
        Ok(Changes(diff(&desired, &actual, &self.state)))
    }

    /// Makes and removes devices into other namespaces, and brings up what is desired and there.
    pub(crate) fn connect(&mut self, desired: &Desired) -> Result<Changes, KernelError> {
        let wished = normal(desired, &self.owner)?;
        let mut made = Changes::default();
        // Devices first, for they are to be brought up.
        for _ in 0..2 {
            let desired = self.possible(&wished)?;
            let actual = self.read_links(&desired)?;
            for change in diff(&desired, &actual, &self.state) {
                if matches!(change, Change::SetLink(_)) || is_veth(&change) {
                    self.make(&change, &actual)?;
                    made.0.push(change);
                }
            }
        }
        Ok(made)
    }

    /// Waits until the devices into other namespaces are in use, if their other ends are up: the kernel does
    /// that when it finds the time.
    pub(crate) fn await_running(&mut self, wished: &Desired) -> Result<(), KernelError> {
        let until = Instant::now() + RUNNING_MAX;
        while Instant::now() < until {
            let links = self.netlink.links().map_err(|error| refused("read links", error))?;
            let ours = |link: &&ActualLink| wished.veths.iter().any(|veth| veth.name == link.name);
            if links.iter().filter(ours).all(|link| link.running || !link.up) {
                break;
            }
            thread::sleep(RUNNING_LOOK);
        }
        Ok(())
    }

    /// Removes members of classes and adds others, and looks at nothing else. When that fails (somebody
    /// else changed the table), [`Engine::apply`] is the answer.
    pub(crate) fn exchange(
        &mut self,
        remove: &[Member],
        add: &[Member],
    ) -> Result<(), KernelError> {
        self.table.exchange(remove, add)?;
        self.table.note();
        Ok(())
    }

    /// Makes the changes that lead to `desired` and answers them. A change that fails does not keep
    /// others from being made; the first failure is what is answered then.
    ///
    /// One change can undo another (a link that goes down loses its routes), so it compares again until
    /// nothing is left to do.
    pub(crate) fn apply(&mut self, desired: &Desired) -> Result<Changes, KernelError> {
        let wished = normal(desired, &self.owner)?;
        let mut made = Changes::default();
        for _ in 0..PASSES_MAX {
            let desired = self.possible(&wished)?;
            let actual = self.read(&desired)?;
            let changes = diff(&desired, &actual, &self.state);
            if changes.is_empty() {
                self.forget(&desired)?;
                return Ok(made);
            }
            let mut failure = None;
            // What comes upon a new device is compared with it.
            let devices = changes.iter().any(is_veth);
            for change in changes.into_iter().filter(|change| !devices || is_veth(change)) {
                match self.make(&change, &actual) {
                    Ok(()) => {
                        tracing::debug!(%change, "kernel state changed");
                        made.0.push(change);
                    }
                    // It has gone meanwhile, and nothing is desired on it the next time.
                    Err(KernelError::NoLink(link)) if desired.optional_links.contains(&link) => {}
                    Err(error) => {
                        tracing::warn!(%error, "kernel state not changed");
                        failure.get_or_insert(error);
                    }
                }
            }
            if let Some(error) = failure {
                return Err(error);
            }
        }
        let desired = self.possible(&wished)?;
        let actual = self.read(&desired)?;
        let left = Changes(diff(&desired, &actual, &self.state));
        if left.is_empty() {
            self.forget(&desired).map(|()| made)
        } else {
            Err(KernelError::NotSettling(left.to_string()))
        }
    }

    /// What can be had now: nothing on devices into namespaces that are away, no routes out of optional links
    /// that are down, and a loose reverse path filter on links where it is strict, or was before us.
    fn possible(&mut self, wished: &Desired) -> Result<Desired, KernelError> {
        let mut desired = wished.clone();
        let waits = !wished.optional_links.is_empty() || !wished.far_links.is_empty();
        let links = if waits {
            self.netlink.links().map_err(|error| refused("read links", error))?
        } else {
            Vec::new()
        };
        without_missing(&mut desired, &links);
        if !wished.optional_links.is_empty() {
            let up = links.iter().filter(|link| link.running).map(|link| &*link.name);
            let up: BTreeSet<&str> = up.collect();
            let missing = |name: &str| wished.optional_links.contains(name) && !up.contains(name);
            desired.routes.retain(|route| !route.next.link().is_some_and(missing));
        }
        for link in &wished.asymmetric_links {
            let key = format!("net/ipv4/conf/{link}/rp_filter");
            let strict =
                sysctl::is_strict(link).map_err(|error| refused(&format!("read {key}"), error))?;
            if strict || self.state.sysctls.contains_key(&key) {
                desired.sysctls.insert(key, sysctl::LOOSE.to_owned());
            }
        }
        Ok(desired)
    }

    fn read(&mut self, desired: &Desired) -> Result<Actual, KernelError> {
        let tag = self.owner.protocol;
        let netlink = &mut self.netlink;
        let failed = |doing| move |error| refused(doing, error);
        let links = netlink.links().map_err(failed("read links"))?;
        let addresses = netlink.addresses(&links, tag).map_err(failed("read addresses"))?;
        let routes = netlink.routes(&links, tag).map_err(failed("read routes"))?;
        let rules = netlink.rules(tag).map_err(failed("read rules"))?;
        let mut sysctls = BTreeMap::new();
        for key in desired.sysctls.keys().chain(self.state.sysctls.keys()) {
            let value = sysctl::read(key);
            let value = value.map_err(|error| refused(&format!("read {key}"), error))?;
            sysctls.extend(value.map(|value| (key.clone(), value)));
        }
        let firewall = if self.beside {
            self.table.list_beside(self.state.firewall.as_ref())?
        } else {
            self.table.list(!desired.firewall.is_empty())?
        };
        let veths = self.veths(desired, &links);
        Ok(Actual { links, addresses, routes, rules, sysctls, veths, firewall })
    }

    /// The links alone, as if there were nothing else.
    fn read_links(&mut self, desired: &Desired) -> Result<Actual, KernelError> {
        let links = self.netlink.links().map_err(|error| refused("read links", error))?;
        let veths = self.veths(desired, &links);
        Ok(Actual { links, veths, ..Actual::default() })
    }

    /// The devices of ours into other namespaces. One without a label is what a crash left.
    fn veths(&self, desired: &Desired, links: &[ActualLink]) -> Veths {
        let (owner, prefix) = (&self.owner.name, label_of(&self.owner.name));
        let ours = links.iter().filter(|link| link.group == u32::from(self.owner.protocol));
        let ours = ours.filter(|link| link.label.is_empty() || link.label.starts_with(&prefix));
        let there = ours.map(|link| (link.name.clone(), link.label.clone())).collect();
        let labels = desired.veths.iter();
        let labels = labels.filter_map(|veth| Some((veth.name.clone(), veth.label(owner)?)));
        Veths { there, labels: labels.collect() }
    }

    fn make(&mut self, change: &Change, actual: &Actual) -> Result<(), KernelError> {
        let tag = self.owner.protocol;
        let netlink = &mut self.netlink;
        let done = match change {
            Change::AddAddress(address) => return self.add_address(address, actual, change),
            Change::AddLink(link) => return Err(KernelError::NoLink(link.name.clone())),
            Change::AddRoute(route) => netlink.add_route(route, next_link(route, actual)?, tag),
            Change::AddRule(rule) => netlink.add_rule(rule, tag),
            Change::AddVeth(veth) => {
                let label = veth.label(&self.owner.name).unwrap_or_default();
                match netlink.add_veth(veth, u32::from(tag), &label) {
                    // It has gone meanwhile, and is not desired the next time.
                    Err(_) if veth.label(&self.owner.name).is_none() => Ok(()),
                    done => done,
                }
            }
            Change::RemoveAddress(address) => {
                gone(netlink.remove_address(address, index(&address.link, actual)?))
            }
            Change::RemoveFirewall => return self.remove_firewall(),
            Change::RemoveRoute(route) => gone(netlink.remove_route(route, tag)),
            Change::RemoveRule(rule) => gone(netlink.remove_rule(rule, tag)),
            Change::RemoveVeth(name) => gone(netlink.remove_link(index(name, actual)?)),
            Change::ReplaceRoute { to, .. } => {
                let link = next_link(to, actual)?;
                replace_route(netlink, to, link, tag)
            }
            Change::RestoreLink(link) => {
                gone(netlink.set_link(index(&link.name, actual)?, link.up, link.mtu))
            }
            Change::RestoreSysctl { key, to } => return self.restore_sysctl(key, to),
            Change::SetLink(link) => return self.set_link(link, actual, change),
            Change::SetFirewall(firewall) => return self.set_firewall(firewall),
            Change::SetMembers { remove, add } => return self.table.exchange(remove, add),
            Change::SetSysctl { key, from, to } => return self.set_sysctl(key, from, to),
        };
        done.map_err(|error| match new_route_link(change) {
            Some(link) if is_away(&error) => KernelError::NoLink(link.to_owned()),
            Some(_) | None => refused(&change.to_string(), error),
        })
    }

    fn add_address(
        &mut self,
        address: &Address,
        actual: &Actual,
        change: &Change,
    ) -> Result<(), KernelError> {
        let tag = self.owner.protocol;
        let failed = |error| refused(&change.to_string(), error);
        let link = index(&address.link, actual)?;
        self.netlink.add_address(address, link, tag).map_err(failed)?;
        let now = self.netlink.addresses(&actual.links, tag).map_err(failed)?;
        if now.contains(&(address.clone(), false)) {
            // This kernel forgot the tag, so we remember it.
            self.state.addresses.insert(address.clone());
            self.file.save(&self.state)?;
        }
        Ok(())
    }

    fn set_link(
        &mut self,
        link: &Link,
        actual: &Actual,
        change: &Change,
    ) -> Result<(), KernelError> {
        let missing = || KernelError::NoLink(link.name.clone());
        let before = actual.link(&link.name).ok_or_else(missing)?;
        let was = (before.up, before.mtu);
        let written = (link.up, link.mtu.unwrap_or(before.mtu));
        let fresh = SavedLink { index: before.index, before: was, written };
        let saved = self.state.links.entry(link.name.clone()).or_insert(fresh);
        if saved.index != before.index {
            *saved = fresh;
        }
        saved.written = written;
        self.file.save(&self.state)?;
        let set = self.netlink.set_link(before.index, link.up, link.mtu);
        set.map_err(|error| refused(&change.to_string(), error))
    }

    fn set_sysctl(&mut self, key: &str, from: &str, to: &str) -> Result<(), KernelError> {
        let failed =
            |source| KernelError::Sysctl { key: key.to_owned(), value: to.to_owned(), source };
        if !self.state.sysctls.contains_key(key) {
            let companions = sysctl::companions(key).map_err(failed)?;
            let (before, written) = (from.to_owned(), to.to_owned());
            let saved = SavedSysctl { before, written, companions };
            self.state.sysctls.insert(key.to_owned(), saved.clone());
            self.file.save(&self.state)?;
            sysctl::prepare(key, to, &saved.companions).map_err(failed)?;
        } else if let Some(saved) = self.state.sysctls.get_mut(key) {
            to.clone_into(&mut saved.written);
        }
        self.file.save(&self.state)?;
        sysctl::write(key, to).map_err(failed)
    }

    fn restore_sysctl(&mut self, key: &str, to: &str) -> Result<(), KernelError> {
        let failed =
            |source| KernelError::Sysctl { key: key.to_owned(), value: to.to_owned(), source };
        gone(sysctl::write(key, to)).map_err(failed)?;
        let companions = self.state.sysctls.get(key).map(|saved| saved.companions.clone());
        for (companion, value) in companions.into_iter().flatten() {
            let now = sysctl::read(&companion).map_err(failed)?;
            if now.is_some_and(|now| now != value) {
                gone(sysctl::write(&companion, &value)).map_err(failed)?;
            }
        }
        Ok(())
    }

    fn set_firewall(&mut self, firewall: &crate::Firewall) -> Result<(), KernelError> {
        let listing = self.table.replace(firewall)?.unwrap_or_default().text;
        self.state.firewall = Some(SavedFirewall { wanted: firewall.without_members(), listing });
        self.file.save(&self.state)
    }

    fn remove_firewall(&mut self) -> Result<(), KernelError> {
        self.table.remove()?;
        self.state.firewall = None;
        self.file.save(&self.state)
    }

    /// Forgets the previous values of what is no longer ours.
    fn forget(&mut self, desired: &Desired) -> Result<(), KernelError> {
        let before = self.state.clone();
        let links: BTreeSet<&str> = desired.links.iter().map(|link| &*link.name).collect();
        self.state.links.retain(|name, _| links.contains(&**name));
        self.state.sysctls.retain(|key, _| desired.sysctls.contains_key(key));
        self.state.addresses.retain(|address| desired.addresses.contains(address));
        if desired.firewall.is_empty() {
            self.state.firewall = None;
            self.table.remove_note();
        } else {
            self.table.note();
        }
        if self.state == before { Ok(()) } else { self.file.save(&self.state) }
    }
}

/// The priority of the rule for the main table.
const MAIN_RULE: u32 = 32_766;
/// How long the kernel may take to use a device whose ends are both up.
const RUNNING_MAX: Duration = Duration::from_millis(300);
/// How often that is looked at.
const RUNNING_LOOK: Duration = Duration::from_millis(5);
/// How often it compares: once for devices, once to change, once for what a change undid, and once more for
/// luck's absence.
const PASSES_MAX: u32 = 4;

fn is_veth(change: &Change) -> bool {
    matches!(change, Change::AddVeth(_) | Change::RemoveVeth(_))
}

/// Leaves out what is desired on devices that cannot be made now, or that others have not made.
fn without_missing(desired: &mut Desired, links: &[ActualLink]) {
    let (there, away): (Vec<_>, Vec<_>) =
        desired.veths.drain(..).partition(|veth| veth.namespace().number().is_some());
    desired.veths = there;
    let mut away: BTreeSet<_> = away.into_iter().map(|veth| veth.name).collect();
    let is_there = |name: &&String| links.iter().any(|link| link.name == **name);
    away.extend(desired.far_links.iter().filter(|name| !is_there(name)).cloned());
    if !away.is_empty() {
        desired.links.retain(|link| !away.contains(&link.name));
        desired.addresses.retain(|address| !away.contains(&address.link));
        desired.routes.retain(|route| !route.next.link().is_some_and(|link| away.contains(link)));
    }
}

/// `desired` as the kernel would tell it, once it is found sound.
fn normal(desired: &Desired, owner: &Owner) -> Result<Desired, KernelError> {
    desired.check(owner)?;
    let routes = desired.routes.iter().map(Route::normal).collect();
    let rules = desired.rules.iter().map(Rule::normal).collect();
    let firewall = desired.firewall.normal();
    Ok(Desired { routes, rules, firewall, ..desired.clone() })
}

/// The index of the link of that name.
fn index(name: &str, actual: &Actual) -> Result<u32, KernelError> {
    let link = actual.link(name).ok_or_else(|| KernelError::NoLink(name.to_owned()))?;
    Ok(link.index)
}

/// The index of the link that a route names.
/// The link of a route that is to come.
fn new_route_link(change: &Change) -> Option<&str> {
    let (Change::AddRoute(route) | Change::ReplaceRoute { to: route, .. }) = change else {
        return None;
    };
    route.next.link()
}

/// Whether a link went away, or is about to: it goes down before.
fn is_away(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(ENODEV | ENETDOWN))
}

fn next_link(route: &Route, actual: &Actual) -> Result<Option<u32>, KernelError> {
    route.next.link().map(|link| index(link, actual)).transpose()
}

/// Replaces our route at once when it is the only one of its kind; the kernel would replace the first
/// one, whoever made it, so otherwise ours is removed and added.
fn replace_route(
    netlink: &mut Netlink,
    route: &Route,
    link: Option<u32>,
    tag: u8,
) -> io::Result<()> {
    if netlink.is_alone(route, tag)? {
        return netlink.replace_route(route, link, tag);
    }
    gone(netlink.remove_route(route, tag))?;
    netlink.add_route(route, link, tag)
}

/// What is to go and is not there has gone.
fn gone(done: io::Result<()>) -> io::Result<()> {
    match done {
        Err(error)
            if matches!(error.raw_os_error(), Some(ENOENT | ESRCH | ENODEV | EADDRNOTAVAIL)) =>
        {
            Ok(())
        }
        done => done,
    }
}

const ENOENT: i32 = 2;
const ESRCH: i32 = 3;
const EEXIST: i32 = 17;
const ENODEV: i32 = 19;
const EADDRNOTAVAIL: i32 = 99;
const ENETDOWN: i32 = 100;

fn refused(doing: &str, source: io::Error) -> KernelError {
    if source.raw_os_error() == Some(EEXIST) {
        return KernelError::Conflict { doing: doing.to_owned() };
    }
    if source.kind() == io::ErrorKind::PermissionDenied {
        return KernelError::Denied { doing: doing.to_owned() };
    }
    KernelError::Netlink { doing: doing.to_owned(), source }
}
