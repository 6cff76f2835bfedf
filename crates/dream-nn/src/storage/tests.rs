//! Widening against the `half` crate and the definitions; rounding against what may be lost.

use super::*;
use crate::testing::{random_vec, rng};

/// All 65,536 bit patterns, little-endian.
fn all_patterns() -> Vec<u8> {
    (0..=u16::MAX).flat_map(u16::to_le_bytes).collect()
}

#[test]
fn every_half_and_every_bfloat16_widens_to_what_half_says() {
    let mut out = vec![0.0; 1 << 16];
    widen_f16(&all_patterns(), &mut out);
    for (bits, got) in (0..=u16::MAX).zip(&out) {
        let want = f16::from_bits(bits).to_f32();
        let equal = got.to_bits() == want.to_bits() || (got.is_nan() && want.is_nan());
        assert!(equal, "{bits:#x}: {got} is not {want}");
    }
    widen_bf16(&all_patterns(), &mut out);
    for (bits, got) in (0..=u16::MAX).zip(&out) {
        let want = bf16::from_bits(bits).to_f32();
        let equal = got.to_bits() == want.to_bits() || (got.is_nan() && want.is_nan());
        assert!(equal, "{bits:#x}: {got} is not {want}");
    }
}

#[test]
fn a_row_comes_back_within_half_a_step_of_its_type() {
    let mut rng = rng(1);
    for storage in Storage::ALL {
        // 67: more than a register of everything, and a rest.
        let row = random_vec(&mut rng, 67);
        let largest = row.iter().fold(0.0f32, |m, x| m.max(x.abs()));
        let mut bytes = Vec::new();
        let scale = storage.narrow(&row, &mut bytes);
        assert_eq!(
            (bytes.len(), scale.is_some()),
            (67 * storage.bytes(), storage.has_scales())
        );
        let scales: Vec<f32> = scale.into_iter().collect();
        let rows = Rows::stored(storage, &bytes, &scales, 67);
        let mut scratch = Vec::new();
        for (got, x) in rows.block(0..1, &mut scratch).iter().zip(&row) {
            let half_step = match storage {
                Storage::F32 => 0.0,
                Storage::F16 => x.abs() / 2048.0,
                Storage::Bf16 => x.abs() / 256.0,
                Storage::I8 => largest / 254.0 * 1.000_001,
            };
            assert!((got - x).abs() <= half_step, "{storage}: {x} became {got}");
        }
    }
}

#[test]
fn integers_use_the_whole_range_and_zeros_stay_zeros() {
    let narrow = |row: &[f32]| {
        let mut bytes = Vec::new();
        let scale = Storage::I8.narrow(row, &mut bytes);
        let integers: Vec<i8> = bytes.iter().map(|b| b.cast_signed()).collect();
        (integers, scale)
    };
    assert_eq!(
        narrow(&[-2.54, 1.27, 0.011, 0.0]),
        (vec![-127, 64, 1, 0], Some(0.02))
    );
    assert_eq!(narrow(&[0.0, -0.0]), (vec![0, 0], Some(0.0)));
    // So small that the scale is 0: what is left is 0, not something infinite.
    let (integers, scale) = narrow(&[f32::from_bits(1), -f32::from_bits(1)]);
    assert_eq!((integers[0], integers[1], scale), (127, -127, Some(0.0)));
    for storage in Storage::ALL {
        let (row, mut bytes) = ([storage.largest(), -storage.largest()], Vec::new());
        let scales: Vec<f32> = storage.narrow(&row, &mut bytes).into_iter().collect();
        let rows = Rows::stored(storage, &bytes, &scales, 2);
        let mut scratch = Vec::new();
        let back = rows.block(0..1, &mut scratch);
        assert!(back.iter().all(|x| x.is_finite()), "{storage}: {back:?}");
    }
}

#[test]
fn blocks_are_the_rows_asked_for_and_aligned_f32_is_not_copied() {
    let values = random_vec(&mut rng(2), 5 * 3);
    let bytes: Vec<u8> = values.iter().flat_map(|x| x.to_le_bytes()).collect();
    // One of four places in a row of bytes is aligned, the others are not.
    let mut shifted = vec![0; bytes.len() + 3];
    let (mut plain, mut copied) = (0, 0);
    for shift in 0..4 {
        shifted[shift..shift + bytes.len()].copy_from_slice(&bytes);
        let rows = Rows::stored(Storage::F32, &shifted[shift..shift + bytes.len()], &[], 3);
        assert_eq!(rows.count(), 5);
        let mut scratch = vec![7.0];
        assert_eq!(rows.block(3..5, &mut scratch), &values[9..15]);
        if scratch == [7.0] {
            plain += 1;
        } else {
            copied += 1;
        }
    }
    assert!(copied >= 3 && (plain == 1 || cfg!(target_endian = "big")));

    let mut bytes = Vec::new();
    let rows = values.chunks(3);
    let scales: Vec<f32> = rows
        .filter_map(|r| Storage::I8.narrow(r, &mut bytes))
        .collect();
    let rows = Rows::stored(Storage::I8, &bytes, &scales, 3);
    let (mut one, mut other) = (vec![9.0; 99], Vec::new());
    let all = rows.block(0..5, &mut one);
    assert_eq!((rows.count(), all.len()), (5, 15));
    assert_eq!(rows.block(1..3, &mut other), &all[3..9]);
    assert_eq!(rows.block(5..5, &mut other), &[0.0; 0]);
}

#[test]
fn names_come_back_and_others_are_refused() {
    for storage in Storage::ALL {
        assert_eq!(storage.to_string().parse(), Ok(storage));
    }
    let refused: Result<Storage, String> = "f64".parse();
    assert!(refused.is_err_and(|e| e.contains("f16, bf16 or i8, not \"f64\"")));
}
