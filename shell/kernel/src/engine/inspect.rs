//! Looks at what is in force, for whoever asks.

use std::collections::BTreeSet;

use super::{Engine, normal, refused};
use crate::inspect::{Found, Inspection, Standing, firewall, routes, rules};
use crate::netlink::Ruleset;
use crate::{Desired, Entry, Interest, KernelError, MAIN_TABLE};

impl Engine {
    /// What is in force, beside what is wanted; of the routes of others those of interest.
    pub(crate) fn inspect(
        &mut self,
        desired: &Desired,
        interest: &Interest,
    ) -> Result<Inspection, KernelError> {
        let tag = self.owner.protocol;
        let failed = |doing| move |error| refused(doing, error);
        let desired = self.possible(&normal(desired, &self.owner)?)?;
        let links = self.netlink.links().map_err(failed("read links"))?;
        let actual = self.netlink.routes(&links, tag).map_err(failed("read routes"))?;
        let actual_rules = self.netlink.rules(tag).map_err(failed("read rules"))?;
        let all = desired.routes.iter().chain(&actual).map(|route| route.table);
        let tables: BTreeSet<_> = all.chain([MAIN_TABLE]).collect();
        let mut other_routes = Vec::new();
        for table in tables {
            let routes = self.routes_of_others(&links, table, interest)?;
            other_routes.extend(routes.into_iter().map(|route| (table, route)));
        }
        Ok(Inspection {
            routes: routes(&desired.routes, &actual, |link| desired.firewall.is_of_family(link)),
            other_routes,
            rules: rules(&desired.rules, &actual_rules),
            other_rules: self.netlink.rules_of_others(tag).map_err(failed("read rules"))?,
            firewall: self.entries(&desired)?,
            tables: self.tables_of_others(),
        })
    }

    /// What our nftables table does, beside what it is to do.
    fn entries(&self, desired: &Desired) -> Result<Vec<Found<Entry>>, KernelError> {
        let listing = self.table.text()?;
        Ok(firewall(&desired.firewall, self.state.firewall.as_ref(), listing.as_deref()))
    }

    /// What is to be changed in our nftables table, thing by thing.
    pub(crate) fn firewall_changes(
        &mut self,
        desired: &Desired,
    ) -> Result<Vec<Found<Entry>>, KernelError> {
        let desired = normal(desired, &self.owner)?;
        let mut found = self.entries(&desired)?;
        found.retain(|one| one.standing != Standing::AsWanted);
        Ok(found)
    }

    fn tables_of_others(&self) -> Vec<String> {
        let own = format!("inet {}", self.owner.nft_table());
        let tables = Ruleset::open().and_then(|mut ruleset| ruleset.tables());
        let mut tables = tables
            .inspect_err(|error| tracing::debug!(%error, "tables of others stay unknown"))
            .unwrap_or_default();
        tables.retain(|table| *table != own);
        tables
    }
}
