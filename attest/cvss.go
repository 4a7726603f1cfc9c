// SPDX-License-Identifier: Apache-2.0

package attest

import (
	"math"
	"strconv"
	"strings"

	cvss2 "github.com/pandatix/go-cvss/20"
	cvss30 "github.com/pandatix/go-cvss/30"
	cvss31 "github.com/pandatix/go-cvss/31"
	cvss4 "github.com/pandatix/go-cvss/40"
)

// CVSS is one rating by the Common Vulnerability Scoring System.
type CVSS struct {
	Version string // "2.0", "3.0", "3.1", "4.0"; "" if nobody says
	Vector  string // as written, or ""
	// Score is the base score, 0 if there is none: as written, whatever the
	// vector says, or else computed from it.
	Score float64
	// Computed: nobody has written the score. Then 0 is one.
	Computed bool
	Source   string // who has rated it
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
	if c.Computed || c.Score < 0 || c.Score > 10 || math.IsNaN(c.Score) {
		c.Score = 0
	}
	// Zero is what scanners write for "not rated".
	if c.Computed = c.Score == 0; c.Computed {
		c.Score, c.Computed = baseScore(c.Version, c.Vector)
	}
}

// isScored reports whether somebody, or the vector, says a score.
func (c *CVSS) isScored() bool { return c.Score > 0 || c.Computed }

// maxVector bounds a vector, bytes: all metrics of version 4 are not half of it.
const maxVector = 512

// baseScore is the base score of a vector. What threat and environment change is
// for those to judge who know them.
func baseScore(version, vector string) (float64, bool) {
	if vector == "" || len(vector) > maxVector {
		return 0, false
	}
	if version == "2.0" {
		return baseScore2(strings.TrimSuffix(strings.TrimPrefix(vector, "("), ")"))
	}
	if !strings.HasPrefix(vector, "CVSS:") { // the version stands beside it
		vector = "CVSS:" + version + "/" + vector
	}
	switch version {
	case "3.0":
		if v, err := cvss30.ParseVector(vector); err == nil {
			return v.BaseScore(), true
		}
	case "3.1":
		if v, err := cvss31.ParseVector(vector); err == nil {
			return v.BaseScore(), true
		}
	case "4.0":
		return baseScore4(vector)
	}
	return 0, false
}

// metrics2 is how many a vector of version 2 can have: more do not fit into what
// reads it.
const metrics2 = 14

func baseScore2(vector string) (float64, bool) {
	if strings.Count(vector, "/") >= metrics2 {
		return 0, false
	}
	v, err := cvss2.ParseVector(vector)
	if err != nil {
		return 0, false
	}
	return max(v.BaseScore(), 0), true // of no impact it is a zero below zero
}

// base4 are the metrics of version 4 that its base score is of.
const base4 = 11

// baseScore4 scores the base metrics alone: version 4 has one score, of all that
// are given.
func baseScore4(vector string) (float64, bool) {
	if _, err := cvss4.ParseVector(vector); err != nil {
		return 0, false
	}
	v, err := cvss4.ParseVector(strings.Join(strings.SplitN(vector, "/", base4+2)[:base4+1], "/"))
	if err != nil {
		return 0, false
	}
	return v.Score(), true
}

// scoreOf reads a score that is written as text.
func scoreOf(text string) float64 {
	score, err := strconv.ParseFloat(text, 64)
	if err != nil || !(score >= 0 && score <= 10) {
		return 0
	}
	return score
}
