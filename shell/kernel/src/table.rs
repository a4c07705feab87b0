//! Our nftables table as it is, read no more often than it changes.
//!
//! `nft` is a program to start, and takes as long for a table as everything else of a namespace together. The
//! kernel numbers the states of all tables, so what was read holds as long as its number does. A process
//! beside the gateway has that from what the gateway notes.

use std::path::Path;

use crate::generation::{Generation, GenerationFile};
use crate::netlink::Ruleset;
use crate::nft::{Listing, Nft};
use crate::state::SavedFirewall;
use crate::{Firewall, KernelError, Member};

/// Our table in the namespace of the thread that made this.
pub(crate) struct Table {
    nft: Nft,
    /// None where the kernel knows no nftables.
    ruleset: Option<Ruleset>,
    file: GenerationFile,
    /// The number of the network namespace.
    namespace: u64,
    /// Whether there may be one of ours.
    possible: bool,
    /// What was read last, and which state that was.
    known: Option<(u32, Option<Listing>)>,
}

impl Table {
    /// The table that `nft` writes. Its state is noted beside the file of previous values at `state`, for the
    /// namespace of that number.
    pub(crate) fn new(nft: Nft, state: &Path, namespace: u64) -> Self {
        let ruleset = Ruleset::open()
            .inspect_err(|error| tracing::debug!(%error, "states of nftables stay unknown"))
            .ok();
        let file = GenerationFile::beside(state);
        Self { nft, ruleset, file, namespace, possible: true, known: None }
    }

    /// How the table is listed; not looked for where there is none and none is `wanted`.
    pub(crate) fn list(&mut self, wanted: bool) -> Result<Option<Listing>, KernelError> {
        if !self.possible && !wanted {
            return Ok(None);
        }
        let generation = self.generation();
        if let Some((known, listing)) = &self.known
            && Some(*known) == generation
        {
            return Ok(listing.clone());
        }
        self.read()
    }

    /// The same by what a gateway that runs has noted; who is a member is not known then.
    pub(crate) fn list_beside(
        &mut self,
        saved: Option<&SavedFirewall>,
    ) -> Result<Option<Listing>, KernelError> {
        let noted = self.file.read().filter(|noted| noted.namespace == self.namespace);
        match (noted, saved) {
            (Some(noted), Some(saved)) if Some(noted.generation) == self.generation() => {
                Ok(Some(Listing { text: saved.listing.clone(), members: None }))
            }
            (Some(_) | None, Some(_) | None) => self.read(),
        }
    }

    /// How `nft` lists the table now, with what rules have counted.
    pub(crate) fn text(&self) -> Result<Option<String>, KernelError> {
        self.nft.text()
    }

    /// Writes the table anew and answers how it is listed then.
    pub(crate) fn replace(&mut self, firewall: &Firewall) -> Result<Option<Listing>, KernelError> {
        self.possible = true;
        self.nft.replace(firewall)?;
        self.read()
    }

    /// Removes members and adds others.
    pub(crate) fn exchange(
        &mut self,
        remove: &[Member],
        add: &[Member],
    ) -> Result<(), KernelError> {
        let before = self.generation();
        let known = self.known.take().filter(|(known, _)| Some(*known) == before);
        self.nft.exchange(remove, add)?;
        let Some((number, Some(mut listing))) = known else { return Ok(()) };
        // Ours was one transaction: with another one meanwhile it would be two.
        let now = self.generation();
        if now == number.checked_add(1)
            && let Some(members) = &mut listing.members
        {
            members.retain(|member| !remove.contains(member));
            members.extend_from_slice(add);
            members.sort_unstable();
            self.know(number + 1, Some(listing));
        }
        Ok(())
    }

    /// Removes the table.
    pub(crate) fn remove(&mut self) -> Result<(), KernelError> {
        self.nft.remove()?;
        self.possible = false;
        self.known = None;
        self.remove_note();
        Ok(())
    }

    fn read(&mut self) -> Result<Option<Listing>, KernelError> {
        let before = self.generation();
        let listing = self.nft.list()?;
        self.possible = listing.is_some();
        self.known = None;
        if let Some(generation) = before.filter(|before| Some(*before) == self.generation()) {
            self.know(generation, listing.clone());
        }
        Ok(listing)
    }

    fn know(&mut self, generation: u32, listing: Option<Listing>) {
        self.known = Some((generation, listing));
    }

    /// Notes the state of the table for others, as the gateway leaves it.
    pub(crate) fn note(&mut self) {
        if let Some((generation, Some(_))) = self.known {
            self.file.write(Generation { namespace: self.namespace, generation });
        }
    }

    /// Removes what was noted.
    pub(crate) fn remove_note(&mut self) {
        self.file.remove();
    }

    /// Which state all tables are in; none where the kernel does not tell.
    fn generation(&mut self) -> Option<u32> {
        self.ruleset.as_mut()?.generation().ok()
    }
}
