//! Attaching programs to probe points.

use alloc::{
    string::{String, ToString},
    sync::Arc,
    vec::Vec,
};

use axebpf_vm::AttachTarget;

use crate::{
    Error, LinkId, ObjectId, ProgramId, Registry, Target,
    attachment::{Attachment, Runner},
    printk::ProgramPrintk,
    state::State,
};

/// How to attach a program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LinkOptions<'a> {
    /// The filter on the fields of a tracepoint, such as `reason == 36 && vcpu_id == 1`, or on the
    /// registers at a probe, such as `x0 == 0 && cpu == 1`: the program runs only for hits that it
    /// lets through.
    pub filter: Option<&'a str>,
    /// A number that the program can ask for, so that one program can serve several links.
    pub cookie: u64,
    /// How many calls of a function whose return is probed may be in flight at a time, at least one; those beyond
    /// are missed. Unless given, 256 at functions of the hypervisor and 128 at those of a guest.
    pub maxactive: Option<u32>,
    /// How many functions a glob may mean; [`MAX_FUNCTIONS`](Self::MAX_FUNCTIONS) unless given.
    pub max_functions: Option<usize>,
    /// How a guest is made to leave at a probe on its kernel; the first way that the hypervisor offers unless given.
    #[cfg(feature = "guest-kprobe")]
    pub mode: Option<axebpf_guestprobe::ProbeMode>,
}

impl<'a> LinkOptions<'a> {
    /// How many functions the glob of a probe may mean, unless the link says otherwise.
    pub const MAX_FUNCTIONS: usize = 256;

    /// Runs the program only for hits that `filter` lets through.
    #[must_use]
    pub fn with_filter(mut self, filter: &'a str) -> Self {
        self.filter = Some(filter);
        self
    }

    /// Allows `calls` calls of a function whose return is probed to be in flight at a time.
    #[must_use]
    pub fn with_maxactive(mut self, calls: u32) -> Self {
        self.maxactive = Some(calls);
        self
    }

    /// Allows the glob of a probe to mean `functions` functions.
    #[must_use]
    pub fn with_max_functions(mut self, functions: usize) -> Self {
        self.max_functions = Some(functions);
        self
    }

    /// Makes a guest leave in this way at a probe on its kernel.
    #[cfg(feature = "guest-kprobe")]
    #[must_use]
    pub fn with_mode(mut self, mode: axebpf_guestprobe::ProbeMode) -> Self {
        self.mode = Some(mode);
        self
    }

    /// Gives the link a number that the program can ask for.
    #[must_use]
    pub fn with_cookie(mut self, cookie: u64) -> Self {
        self.cookie = cookie;
        self
    }
}

/// What happened at a link so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LinkCounts {
    /// The hits for which the program ran to its end.
    pub hits: u64,
    /// The hits for which the program could not run, because this CPU was in a hit already.
    pub missed: u64,
    /// The hits for which the program was stopped: by its budget or by a check.
    pub errors: u64,
}

/// One attachment of one program to one probe point.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LinkInfo {
    /// Its number.
    pub id: LinkId,
    /// The program.
    pub program: ProgramId,
    /// The object of the program.
    pub object: ObjectId,
    /// The probe point.
    pub target: Target,
    /// The filter, as it was written.
    pub filter: Option<String>,
    /// The number that the program can ask for.
    pub cookie: u64,
    /// How many places it probes: one, or what the glob of a probe means.
    pub places: usize,
    /// How many functions that the glob means cannot be probed, and are left out.
    pub left_out: usize,
    /// What happened so far.
    pub counts: LinkCounts,
    /// What else there is to know of a link to functions of a guest.
    #[cfg(feature = "guest-kprobe")]
    pub guest: Option<GuestLinkInfo>,
}

/// What is special about a link to functions of a guest.
#[cfg(feature = "guest-kprobe")]
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct GuestLinkInfo {
    /// The VM.
    pub vm: axebpf_platform::VmId,
    /// How the guest is made to leave.
    pub mode: axebpf_guestprobe::ProbeMode,
    /// How often the probed instruction was executed to its end. One that faults and starts again is hit twice and
    /// retired once.
    pub retired: u64,
    /// How many places see nothing at present, because the guest is changing its text there or has changed it to what
    /// cannot be probed.
    pub suspended: usize,
    /// How many places do not see every execution at present, because the guest debugs itself on a vCPU or because of
    /// what the mode does.
    pub partly: usize,
    /// The first functions that a glob means and that cannot be probed, at most 16.
    pub left_out: Vec<LeftOut>,
    /// What the link waits for, if it is not attached: the guest is off or starting, or something is wrong with the
    /// kernel that was started. It is tried again and again.
    pub waiting: Option<crate::GuestError>,
}

/// A function that cannot be probed.
#[cfg(feature = "guest-kprobe")]
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LeftOut {
    /// What it is called.
    pub name: String,
    /// Why it cannot be probed.
    pub why: axebpf_guestprobe::GuestProbeError,
}

/// A link, as the registry keeps it.
pub(crate) struct Link {
    pub(crate) program: ProgramId,
    target: Target,
    filter: Option<String>,
    cookie: u64,
    pub(crate) attachment: Attachment,
}

impl Registry {
    /// Attaches a program to the probe point that its section names.
    ///
    /// # Errors
    ///
    /// [`Error::NoTarget`] when its section names none, and whatever [`attach_to`](Self::attach_to)
    /// says.
    pub fn attach(&self, program: ProgramId, options: &LinkOptions<'_>) -> Result<LinkId, Error> {
        let info = self.program(program)?;
        let section = info.program.section();
        let target = AttachTarget::parse(section)
            .and_then(Target::try_from)
            .map_err(|cause| Error::NoTarget { program, cause })?;
        self.attach_to(program, &target, options)
    }

    /// Attaches a program to `target`, whatever its section says. It may run as soon as, and even
    /// before, this returns.
    ///
    /// # Errors
    ///
    /// [`Error::NoProgram`], [`Error::NoEvent`] when the image has no such tracepoint,
    /// [`Error::Filter`] when the filter does not fit its fields, [`Error::NoCalls`] when the options
    /// leave room for none, [`Error::NotAvailable`] when this build cannot attach to that kind of probe point. For
    /// functions of the hypervisor also `Error::NoFunction` and others that say what is wrong with the name, and
    /// `Error::Hprobe`, why the place cannot be probed; for those of a guest's kernel `Error::Guest`.
    ///
    /// A link to a guest that is off or starting waits for its kernel (`GuestLinkInfo::waiting`), and is an error only
    /// where that would change nothing: once the guest runs programs, or for a name that its kernel does not have. What
    /// no kernel can have, such as an instruction at an odd address, is an error at once.
    pub fn attach_to(
        &self,
        program: ProgramId,
        target: &Target,
        options: &LinkOptions<'_>,
    ) -> Result<LinkId, Error> {
        let mut state = self.state.lock()?;
        let origin = state.origin_of(target);
        let code = Arc::clone(&state.program(program)?.program);
        let printk = ProgramPrintk {
            printk: Arc::clone(&self.printk),
            program,
            origin,
        };
        let runner = Runner::new(&code, printk, options.cookie);
        let attachment = Attachment::new(&state, runner, target, options)?;
        state.note_program(&code, origin)?;
        let id = state.next_link();
        let link = Link {
            program,
            target: target.clone(),
            filter: options.filter.map(ToString::to_string),
            cookie: options.cookie,
            attachment,
        };
        #[cfg(feature = "guest-kprobe")]
        let kprobe = link.attachment.kprobe().cloned();
        state.links.insert(id, link);
        drop(state);
        #[cfg(feature = "guest-kprobe")]
        if let Some(kprobe) = kprobe
            && let Err(error) = kprobe.arm_first()
        {
            // The first error is the one to be told. Somebody else may have detached the link, too.
            let _ = self.detach(id);
            return Err(error.into());
        }
        Ok(id)
    }

    /// Detaches: when it returns, no CPU runs the program for this link any more. Returns what
    /// happened at the link.
    ///
    /// # Errors
    ///
    /// [`Error::NoLink`] when there is none; where the text of a probed function cannot be written,
    /// `Error::Hprobe`, and the link is still there.
    pub fn detach(&self, id: LinkId) -> Result<LinkCounts, Error> {
        let mut state = self.state.lock()?;
        detach_from(&mut state, id)
    }

    /// Lists the links, in the order in which they were made.
    ///
    /// # Errors
    ///
    /// [`Error::InHit`].
    pub fn links(&self) -> Result<Vec<LinkInfo>, Error> {
        let state = self.state.lock()?;
        Ok(state
            .links
            .iter()
            .filter_map(|(id, link)| link_info(&state, *id, link))
            .collect())
    }

    /// Returns what there is to know of one link.
    ///
    /// # Errors
    ///
    /// [`Error::NoLink`] when there is none.
    pub fn link(&self, id: LinkId) -> Result<LinkInfo, Error> {
        let state = self.state.lock()?;
        let link = state.links.get(&id);
        link.and_then(|link| link_info(&state, id, link))
            .ok_or(Error::NoLink { id })
    }
}

/// Detaches one link while the lock is held.
pub(crate) fn detach_from(state: &mut State, id: LinkId) -> Result<LinkCounts, Error> {
    // What cannot be taken out of the text stays a link.
    let link = state.links.get(&id).ok_or(Error::NoLink { id })?;
    link.attachment.release()?;
    let link = state.links.remove(&id).ok_or(Error::NoLink { id })?;
    link.attachment.detach()
}

fn link_info(state: &State, id: LinkId, link: &Link) -> Option<LinkInfo> {
    Some(LinkInfo {
        id,
        program: link.program,
        object: state.programs.get(&link.program)?.object,
        target: link.target.clone(),
        filter: link.filter.clone(),
        cookie: link.cookie,
        places: link.attachment.places(),
        left_out: link.attachment.left_out(),
        counts: link.attachment.counts(),
        #[cfg(feature = "guest-kprobe")]
        guest: link.attachment.guest(),
    })
}
