// SPDX-License-Identifier: Apache-2.0

package attest

import (
	"math"
	"strconv"
	"strings"
)

// CVSS is one rating by the Common Vulnerability Scoring System.
type CVSS struct {
	Version string // "2.0", "3.0", "3.1", "4.0"; "" if nobody says
	Vector  string // as written, or ""
	// Score is the base score, 0 if there is none: as written, or else computed
	// from a vector of version 2 or 3. Those of version 4 are not computed: its
	// score comes from a table and not from a formula.
	Score  float64
	Source string // who has rated it
}

// cvssVersions order ratings: the newest scale says most.
var cvssVersions = map[string]int{"4.0": 4, "3.1": 3, "3.0": 2, "2.0": 1}

// settle completes a rating from its vector.
func (c *CVSS) settle() {
	if rest, ok := strings.CutPrefix(c.Vector, "CVSS:"); ok {
		version, _, _ := strings.Cut(rest, "/")
		if _, known := cvssVersions[version]; known {
			c.Version = version
		}
	}
	if c.Version == "" && strings.Contains(c.Vector, "Au:") {
		c.Version = "2.0"
	}
	if c.Score < 0 || c.Score > 10 || math.IsNaN(c.Score) {
		c.Score = 0
	}
	if c.Score > 0 || c.Vector == "" {
		return
	}
	metrics := make(map[string]string)
	for metric := range strings.SplitSeq(strings.Trim(c.Vector, "()"), "/") {
		name, value, ok := strings.Cut(metric, ":")
		if _, twice := metrics[name]; !ok || twice {
			return // no vector
		}
		metrics[name] = value
	}
	switch c.Version {
	case "2.0":
		c.Score = baseScore2(metrics)
	case "3.0", "3.1":
		c.Score = baseScore3(metrics)
	}
}

// weights are the numbers of a metric's values.
type weights map[string]float64

// weigh looks all metrics up; ok is false if one is missing or unknown.
func weigh(metrics map[string]string, table map[string]weights) (w weights, ok bool) {
	w = make(weights, len(table))
	for metric, values := range table {
		if w[metric], ok = values[metrics[metric]]; !ok {
			return nil, false
		}
	}
	return w, true
}

var (
	impact2 = weights{"N": 0, "P": 0.275, "C": 0.660}
	// cvss2 is of https://www.first.org/cvss/v2/guide, section 3.2.1.
	cvss2 = map[string]weights{
		"AV": {"L": 0.395, "A": 0.646, "N": 1}, "AC": {"H": 0.35, "M": 0.61, "L": 0.71}, "Au": {"M": 0.45, "S": 0.56, "N": 0.704},
		"C": impact2, "I": impact2, "A": impact2,
	}
	impact3 = weights{"N": 0, "L": 0.22, "H": 0.56}
	// cvss3 is of https://www.first.org/cvss/v3.1/specification-document,
	// section 7.4.
	cvss3 = map[string]weights{
		"AV": {"N": 0.85, "A": 0.62, "L": 0.55, "P": 0.2}, "AC": {"L": 0.77, "H": 0.44}, "PR": {"N": 0.85, "L": 0.62, "H": 0.27},
		"UI": {"N": 0.85, "R": 0.62}, "S": {"U": 0, "C": 1}, "C": impact3, "I": impact3, "A": impact3,
	}
	// changedPrivileges replace PR where the scope changes.
	changedPrivileges = weights{"N": 0.85, "L": 0.68, "H": 0.5}
)

// baseScore2 is the equation of CVSS 2; 0 if a metric is missing.
func baseScore2(metrics map[string]string) float64 {
	w, ok := weigh(metrics, cvss2)
	if !ok {
		return 0
	}
	impact := 10.41 * (1 - (1-w["C"])*(1-w["I"])*(1-w["A"]))
	if impact == 0 {
		return 0
	}
	exploitability := 20 * w["AV"] * w["AC"] * w["Au"]
	return math.Round((0.6*impact+0.4*exploitability-1.5)*1.176*10) / 10
}

// baseScore3 is the equation of CVSS 3.1 (section 7.1, with the rounding of
// appendix A); 3.0 differs from it by rounding only. 0 if a metric is missing.
func baseScore3(metrics map[string]string) float64 {
	w, ok := weigh(metrics, cvss3)
	if !ok {
		return 0
	}
	changed := w["S"] == 1
	sub := 1 - (1-w["C"])*(1-w["I"])*(1-w["A"])
	impact := 6.42 * sub
	if changed {
		w["PR"] = changedPrivileges[metrics["PR"]]
		impact = 7.52*(sub-0.029) - 3.25*math.Pow(sub-0.02, 15)
	}
	if impact <= 0 {
		return 0
	}
	score := impact + 8.22*w["AV"]*w["AC"]*w["PR"]*w["UI"]
	if changed {
		score *= 1.08
	}
	return roundUp(min(score, 10))
}

// roundUp rounds up to one decimal without the errors of binary fractions.
func roundUp(score float64) float64 {
	n := int(math.Round(score * 100_000))
	if n%10_000 == 0 {
		return float64(n) / 100_000
	}
	return float64(n/10_000+1) / 10
}

// scoreOf reads a score that is written as text.
func scoreOf(text string) float64 {
	score, err := strconv.ParseFloat(text, 64)
	if err != nil || !(score >= 0 && score <= 10) {
		return 0
	}
	return score
}
