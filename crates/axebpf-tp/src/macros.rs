//! The macros: defining events and passing tracepoints.

/// Defines an event.
///
/// Stands where an item can stand at the top of a module, in a module that does not forbid
/// `unsafe_code` (it adds to a section of the image). Makes a struct for the fields, a `static`
/// [`Event`](crate::Event) and a type alias that share the event's name, so that
/// [`trace!`](crate::trace) can name all of it by one path. The doc comments become the help text
/// of the event and its fields. As Rust lets nothing shadow a static, no field and no local
/// variable of the same module may be named like an event.
///
/// A field has one of the types of [`TraceField`](crate::TraceField). There are at most 16, of
/// which a string counts for two, and a record has at most
/// [`MAX_RECORD_LEN`](crate::MAX_RECORD_LEN) bytes. An event without fields has an empty pair of
/// braces.
///
/// Where the event has a duration, it says so last:
///
/// - `duration = FIELD`: a field holds it, in nanoseconds;
/// - `duration = since EVENT per cpu`: the time since another event on the same CPU;
/// - `duration = since EVENT per (FIELD, ...)`: the time since the other event had the same values
///   in these fields.
///
/// # Examples
///
/// ```
/// use axebpf_tp::{Hex, Str};
///
/// axebpf_tp::define_event! {
///     /// A block of the virtual disk was read.
///     pub event disk:block_read as BlockRead {
///         /// The first sector.
///         sector: u64,
///         /// The guest-physical address of the buffer.
///         buffer: Hex<u64>,
///         /// The disk's name.
///         disk: Str<16>,
///         /// How long it took, in nanoseconds.
///         duration_ns: u64,
///     } duration = duration_ns
/// }
///
/// axebpf_tp::define_event! {
///     /// The disk was plugged in.
///     event disk:plugged as Plugged {}
/// }
///
/// fn main() -> Result<(), axebpf_tp::TpError> {
///     axebpf_tp::init()?;
///     axebpf_tp::trace!(plugged);
///     axebpf_tp::trace!(block_read {
///         sector: 5,
///         buffer: 0x4000_0000,
///         disk: "virtio0",
///         duration_ns: 80,
///     });
///     assert_eq!(block_read.full_name(), "disk:block_read");
///     assert_eq!(block_read.record_len(), 8 + 8 + 8 + 16 + 8);
///     Ok(())
/// }
/// ```
#[macro_export]
macro_rules! define_event {
    (
        $(#[doc = $doc:literal])*
        $vis:vis event $system:ident : $name:ident as $type:ident {} $(;)?
    ) => {
        $(#[doc = $doc])*
        #[derive(Clone, Copy, Debug)]
        $vis struct $type {}

        #[doc(hidden)]
        #[allow(non_camel_case_types)]
        $vis type $name = $type;

        $crate::__event_static! {
            [$($doc)*] [$vis] $system $name $type [$crate::Duration::None]
        }

        impl $crate::Tracepoint for $type {
            const FIELDS: &'static [$crate::Field] = &[];

            fn event() -> &'static $crate::Event {
                &$name
            }

            #[inline(always)]
            fn fire(self) {
                $crate::__event_fire! { self $name $type [] }
            }
        }
    };
    (
        $(#[doc = $doc:literal])*
        $vis:vis event $system:ident : $name:ident as $type:ident {
            $( $(#[doc = $field_doc:literal])* $field:ident : $ty:ty ),+ $(,)?
        } $(duration = $($duration:tt)+)?
    ) => {
        $(#[doc = $doc])*
        #[derive(Clone, Copy, Debug)]
        $vis struct $type<'a> {
            $(
                $(#[doc = $field_doc])*
                pub $field: <$ty as $crate::TraceField>::Arg<'a>,
            )+
        }

        #[doc(hidden)]
        #[allow(non_camel_case_types)]
        $vis type $name<'a> = $type<'a>;

        $crate::__event_static! {
            [$($doc)*] [$vis] $system $name $type [$crate::__event_duration!($($($duration)+)?)]
        }

        impl $crate::Tracepoint for $type<'_> {
            const FIELDS: &'static [$crate::Field] = &$crate::__private::lay_out([
                $($crate::Field::declare(
                    stringify!($field),
                    concat!($($field_doc, "\n",)*),
                    <$ty as $crate::TraceField>::TYPE,
                )),+
            ]);

            fn event() -> &'static $crate::Event {
                &$name
            }

            #[inline(always)]
            fn fire(self) {
                $crate::__event_fire! { self $name $type [$($field: $ty),+] }
            }
        }
    };
}

/// Makes the static of an event, and its entry in the list of events.
#[doc(hidden)]
#[macro_export]
macro_rules! __event_static {
    (
        [$($doc:literal)*] [$vis:vis] $system:ident $name:ident $type:ident [$duration:expr]
    ) => {
        $(#[doc = $doc])*
        #[allow(non_upper_case_globals)]
        #[used]
        $vis static $name: $crate::Event = $crate::Event::new($crate::__private::EventSpec {
            system: stringify!($system),
            name: stringify!($name),
            full_name: concat!(stringify!($system), ":", stringify!($name)),
            help: concat!($($doc, "\n",)*),
            fields: <$type as $crate::Tracepoint>::FIELDS,
            duration: $duration,
        });

        // Kept with the object that defines the event (`R`), relative to itself.
        ::core::arch::global_asm!(
            ".pushsection axebpf_events, \"aR\", @progbits",
            ".balign 4",
            ".long {event} - .",
            ".popsection",
            event = sym $name,
        );
    };
}

/// Fills the record of an event in and hands it on, out of line.
///
/// On bare-metal aarch64 the way there is no call that the compiler knows of, which would make it
/// move what lives in caller-saved registers out of the way even while nobody listens. The
/// arguments go to the stack, and `enter_report` saves all registers, so that the tracepoint
/// changes none. It hands on where the tracepoint is, and the frame pointer there.
#[doc(hidden)]
#[macro_export]
macro_rules! __event_fire {
    ($this:tt $name:ident $type:ident [$($field:ident : $ty:ty),*]) => {
        const FIELDS: &[$crate::Field] = <$type as $crate::Tracepoint>::FIELDS;

        #[cold]
        #[inline(never)]
        #[allow(unused_mut, unused_variables)]
        extern "C-unwind" fn report(words: &[[u64; 2]; FIELDS.len()], pc: u64, frame_pointer: u64) {
            let mut record = $crate::__private::RecordBuffer::<
                { $crate::__private::record_len(FIELDS) },
            >::default();
            let mut fields = FIELDS.iter().zip(words);
            $(
                if let Some((field, words)) = fields.next() {
                    // SAFETY: The words are those of the argument of this field, which `fire` still
                    // borrows.
                    let argument = unsafe { <$ty as $crate::TraceField>::from_words(*words) };
                    record.put::<$ty>(field.offset(), argument);
                }
            )*
            record.dispatch(&$name, $crate::Site::new(pc, frame_pointer));
        }

        #[cfg(all(target_arch = "aarch64", target_os = "none"))]
        // SAFETY: Puts the words of all arguments into an array below the stack pointer, which it
        // gives back, and calls `report` with it through `enter_report`, which restores every
        // register but x16 and x30; those are restored here. Not `readonly`: what subscribers write,
        // this function may read again afterwards, without synchronisation where it is this CPU's.
        unsafe {
            ::core::arch::asm!(
                "sub sp, sp, #{size}",
                "stp x16, x30, [sp, #{saved}]",
                $(concat!("stp {:x}, {:x}, [sp, #{}] // ", stringify!($field)),)*
                "adrp x16, {report}",
                "add x16, x16, :lo12:{report}",
                "bl {enter}",
                "ldp x16, x30, [sp, #{saved}]",
                "add sp, sp, #{size}",
                $(
                    in(reg) <$ty as $crate::TraceField>::low($this.$field),
                    in(reg) <$ty as $crate::TraceField>::high($this.$field),
                    const $crate::__private::word_offset(FIELDS, stringify!($field)),
                )*
                size = const 16 * FIELDS.len() + 16,
                saved = const 16 * FIELDS.len(),
                report = sym report,
                enter = sym $crate::__private::enter_report,
                options(preserves_flags)
            );
        }

        #[cfg(not(all(target_arch = "aarch64", target_os = "none")))]
        report(
            &[$(<$ty as $crate::TraceField>::words($this.$field)),*],
            $crate::__private::here(),
            0,
        );
    };
}

/// Makes a [`Duration`](crate::Duration) of what a definition says.
#[doc(hidden)]
#[macro_export]
macro_rules! __event_duration {
    () => {
        $crate::Duration::None
    };
    (since $($start:ident)::+ per cpu $(;)?) => {
        $crate::Duration::Since { start: &$($start)::+, pairing: $crate::Pairing::Cpu }
    };
    (since $($start:ident)::+ per ($($key:ident),+ $(,)?) $(;)?) => {
        $crate::Duration::Since {
            start: &$($start)::+,
            pairing: $crate::Pairing::Fields(&[$(stringify!($key)),+]),
        }
    };
    ($field:ident $(;)?) => {
        $crate::Duration::Field(stringify!($field))
    };
}

/// Passes a tracepoint: reports the event to whoever listens, and costs one NOP while nobody does.
///
/// Takes the path of the event (without `$crate`) and all its fields, in any order, as in a struct
/// literal. The fields are evaluated only when somebody listens.
///
/// # Examples
///
/// ```
/// use axebpf_tp::{trace, vmm};
///
/// let (vm_id, entry) = (1, 0x4008_0000);
/// trace!(vmm::vm_boot { vm_id, entry, vcpus: 2 });
/// ```
#[macro_export]
macro_rules! trace {
    ($($event:ident)::+ { $($fields:tt)* }) => {
        if $crate::__is_listened_to!($($event)::+) {
            $crate::Tracepoint::fire($($event)::+ { $($fields)* });
        }
    };
    (::$($event:ident)::+ { $($fields:tt)* }) => {
        if $crate::__is_listened_to!(::$($event)::+) {
            $crate::Tracepoint::fire(::$($event)::+ { $($fields)* });
        }
    };
    ($($event:ident)::+) => {
        $crate::trace!($($event)::+ {})
    };
    (::$($event:ident)::+) => {
        $crate::trace!(::$($event)::+ {})
    };
}

/// Asks at the site itself whether somebody listens to the event.
#[cfg(all(feature = "static-keys", target_arch = "x86_64", target_os = "linux"))]
#[doc(hidden)]
#[macro_export]
macro_rules! __is_listened_to {
    ($($event:tt)+) => {
        $crate::__private::static_keys::static_branch_unlikely!($($event)+)
            && $crate::is_listened_to::<$($event)+>()
    };
}

/// Asks whether somebody listens to the event.
#[cfg(not(all(feature = "static-keys", target_arch = "x86_64", target_os = "linux")))]
#[doc(hidden)]
#[macro_export]
macro_rules! __is_listened_to {
    ($($event:tt)+) => {
        $crate::is_listened_to::<$($event)+>()
    };
}
