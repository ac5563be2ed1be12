//! Extractors for schedules.

use super::FromSchedule;
use crate::due::Due;
use crate::error::Result;

impl FromSchedule for Due {
    fn from_schedule(due: &Due) -> Result<Self> {
        Ok(*due)
    }
}
