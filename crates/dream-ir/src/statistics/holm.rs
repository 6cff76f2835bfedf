//! Holm's correction for several comparisons (Holm 1979, A simple sequentially rejective multiple
//! test procedure).

/// Adjusted p values, in the order given: below a level alpha stand those that Holm's procedure
/// rejects, so that the chance of any false rejection among all of them is at most alpha.
pub fn holm(p_values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..p_values.len()).collect();
    order.sort_by(|a, b| p_values[*a].total_cmp(&p_values[*b]));
    let mut adjusted = vec![0.0; p_values.len()];
    let mut largest = 0.0f64;
    for (place, index) in order.into_iter().enumerate() {
        let remaining = p_values.len() - place;
        largest = largest.max(p_values[index] * remaining as f64).min(1.0);
        adjusted[index] = largest;
    }
    adjusted
}
