// SPDX-License-Identifier: Apache-2.0

package policy

import "time"

// Superseded tells of each document whether newer ones have taken its place in every gate that asks for no age. What such a document says
// is news to nobody. VEX documents are all read, and so is a report if what came after it shows nothing.
func Superseded(documents []Document, now time.Time) []bool {
	open := &gate{
		spec:    EvidenceRequirement{ChartImages: &ChartImagesRequirement{}},
		reports: map[string]*reportLimits{EvidenceScan: {}},
	}
	for _, kind := range ReportKinds() {
		open.reports[kind] = &reportLimits{}
	}
	old := make([]bool, len(documents))
	var all []Document // each under every kind that it has
	var from []int     // which of the documents each of them is
	for i := range documents {
		if documents[i].Kind == EvidenceVEX {
			continue
		}
		old[i] = open.unusable(&documents[i], now) == "" // what counts for nothing had no place
		for _, one := range documents[i].byKind() {
			all, from = append(all, one), append(from, i)
		}
	}
	places := make(map[*Document]int, len(all))
	questions := make(map[asked]bool)
	for i := range all {
		places[&all[i]] = from[i]
		questions[asked{kind: all[i].Kind, target: all[i].Digest}] = true
	}
	for question := range questions {
		for _, counts := range open.pick(question, all, now).documents {
			old[places[counts.Document]] = false
		}
	}
	return old
}
