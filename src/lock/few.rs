//! A list that is nearly always of length one, without an allocation for that case.

/// Values in no particular order but the first one.
#[derive(Debug)]
pub(super) struct Few<T> {
    first: Option<T>,
    /// Empty where `first` is.
    rest: Vec<T>,
}

impl<T> Default for Few<T> {
    fn default() -> Self {
        Self { first: None, rest: Vec::new() }
    }
}

impl<T> Few<T> {
    pub(super) fn push(&mut self, value: T) {
        if self.first.is_none() {
            self.first = Some(value);
        } else {
            self.rest.push(value);
        }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.first.iter().chain(&self.rest)
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.first.iter_mut().chain(&mut self.rest)
    }

    pub(super) fn into_values(self) -> impl Iterator<Item = T> {
        self.first.into_iter().chain(self.rest)
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.first.is_none()
    }

    /// Takes out the one value that `wanted` accepts.
    pub(super) fn take(&mut self, wanted: impl Fn(&T) -> bool) -> Option<T> {
        if self.first.as_ref().is_some_and(&wanted) {
            let taken = self.first.take();
            self.first = self.rest.pop();
            return taken;
        }
        let at = self.rest.iter().position(wanted)?;
        Some(self.rest.swap_remove(at))
    }
}
