// SPDX-License-Identifier: Apache-2.0

package attest

import "slices"

// maxRange bounds what is kept of a version or a range of versions, bytes. Part
// of a range is another range, so that more is not cut off.
const maxRange = 4096

// noVersion is the range that no version is in.
const noVersion = "vers:none/*"

// addVersions notes of which versions an analysis speaks. Each has a status of
// its own, which is affected if nothing is said. An analysis that something does
// not matter means the versions that are unaffected, if it tells them apart from
// others, and never one whose status nobody knows; one that it does matter means
// all but the unaffected.
func (p *VEXProduct) addVersions(status string, versions []cyclonedxVersion) {
	excuses := status == VEXNotAffected || status == VEXFixed
	has := func(status string) bool {
		return slices.ContainsFunc(versions, func(v cyclonedxVersion) bool { return v.Status == status })
	}
	apart := excuses && has("unaffected") && (has("affected") || has(""))
	for _, v := range versions {
		switch {
		case !excuses && v.Status == "unaffected", excuses && v.Status == "unknown", apart && v.Status != "unaffected":
			continue
		case v.Version != "" && v.Range != "", len(v.Version)+len(v.Range) > maxRange:
			p.Unresolved = true // one of two, or too much: nobody can say what it means
			continue
		}
		p.Versions = append(p.Versions, v.Version+v.Range)
	}
	if excuses && len(versions) > 0 && len(p.Versions) == 0 {
		p.Versions = []string{noVersion} // none is not all
	}
}
