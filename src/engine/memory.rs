//! What rows keep in memory between two inputs, one value of each type: the engine holds it and does not look inside.

use super::Engine;
use std::any::{Any, TypeId};

/// The rows' values.
#[derive(Default)]
pub struct Memory(Vec<(TypeId, Box<dyn Any>)>);

impl Engine {
    /// A row's own value, made when it is asked for first. A type belongs to one row.
    pub fn memory<T: Default + 'static>(&mut self) -> &mut T {
        let wanted = TypeId::of::<T>();
        let kept = &mut self.memory.0;
        // Few rows keep something: a short walk.
        let place = match kept.iter().position(|(kind, _)| *kind == wanted) {
            Some(place) => place,
            None => {
                kept.push((wanted, Box::new(T::default())));
                kept.len() - 1
            }
        };
        kept[place]
            .1
            .downcast_mut()
            .expect("a value is kept under its own type")
    }
}
