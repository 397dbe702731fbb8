package verify

// Confidence is the certainty in the verdict, from this table and never from a
// score:
//
//	verdict true: the least of          verdict false: the greatest of
//	  face_match, band 1 or 2   95        face_match, band 0         97
//	  face_match, band 3        96        face_match, higher bands   95
//	  face_match, band 4        97        liveness, attack           96
//	  face_match, band 5 or 6   98        any other check            95
//	  face_match, band 7        99
//	  liveness, still           95      verdict unknown: the least of
//	  liveness, frames          96        flagged, false, objection  50
//	  liveness, challenge       98        unknown                    25
//	  quality                   99        not run, error              0
//	  any other check           95
//
// A person who decided is as sure as PersonConfidence.
const PersonConfidence = 99

// certainty reads the columns of true and false.
func certainty(c Check) int {
	switch {
	case c.Name == FaceMatch && c.Result == True:
		return [8]int{0, 95, 95, 96, 97, 98, 98, 99}[c.Band&7]
	case c.Name == FaceMatch && c.Band == 0:
		return 97
	case c.Name == Liveness && c.Result == True:
		return [4]int{0, 95, 96, 98}[c.Strength&3]
	case c.Name == Liveness && c.Band == BandAttack:
		return 96
	case c.Name == Quality && c.Result == True:
		return 99
	}
	return 95
}

// doubt reads the column of unknown.
func doubt(r Result) int {
	switch r {
	case Flagged, False:
		return 50
	case Unknown:
		return 25
	}
	return 0
}
