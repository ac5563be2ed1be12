//! Values by type, which live as long as an instance.

use std::any::Any;
use std::cell::RefCell;
use std::rc::Rc;

/// One value of each type that was asked for. Few handlers keep more than one, so a list is fast enough.
#[derive(Default)]
pub(crate) struct Values(RefCell<Vec<Rc<dyn Any>>>);

impl Values {
    #[cfg(target_family = "wasm")]
    pub(crate) const fn new() -> Self {
        Values(RefCell::new(Vec::new()))
    }

    /// Returns the value of a type, which is made when it is first asked for.
    pub(crate) fn get<T: Default + 'static>(&self) -> Rc<RefCell<T>> {
        self.find().unwrap_or_else(|| {
            // The list is not borrowed here, because the default may be made from other values.
            let value = Rc::<RefCell<T>>::default();
            self.0.borrow_mut().push(value.clone());
            value
        })
    }

    fn find<T: 'static>(&self) -> Option<Rc<RefCell<T>>> {
        let values = self.0.borrow();
        let value = values.iter().find(|value| value.is::<RefCell<T>>())?;
        Rc::clone(value).downcast().ok()
    }
}
