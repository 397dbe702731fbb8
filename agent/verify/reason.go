package verify

// A Reason is the code of one finding. Codes are a contract: they are added and
// never renamed. Sentence and Advice are the only places where a code becomes
// words.
type Reason string

// Reasons of checks that passed.
const (
	QualitySufficient Reason = "quality_sufficient"
	FaceMatches       Reason = "face_matches"
	LivenessShown     Reason = "liveness_shown"
)

// Reasons about images.
const (
	ImageTooSmall   Reason = "image_too_small"
	ImageUnreadable Reason = "image_unreadable"
	ImageBlurred    Reason = "image_blurred"
	ImageTooDark    Reason = "image_too_dark"
	ImageTooBright  Reason = "image_too_bright"
	UnevenLight     Reason = "uneven_light"
	LowContrast     Reason = "low_contrast"
	Glare           Reason = "glare"
	DocumentCutOff  Reason = "document_cut_off"
	NoFaceInProbe   Reason = "no_face_in_probe"
	SeveralFaces    Reason = "several_faces_in_probe"
	FaceTooSmall    Reason = "face_too_small"
	FaceTooLarge    Reason = "face_too_large"
	FaceOffCentre   Reason = "face_off_centre"
	FaceCutOff      Reason = "face_cut_off"
	FaceTurned      Reason = "face_turned_away"
)

// Reasons about faces and liveness.
const (
	FaceDiffers       Reason = "face_differs"
	NoFaceInReference Reason = "no_face_in_reference"
	// SeveralFacesInReference: somebody's face stands beside the portrait.
	SeveralFacesInReference Reason = "several_faces_in_reference"
	// ProbeIsReference: the person and the portrait are one picture.
	ProbeIsReference  Reason = "probe_is_reference"
	AttackPrint       Reason = "attack_print"
	AttackScreen      Reason = "attack_screen"
	AttackSuspected   Reason = "attack_suspected"
	MoirePattern      Reason = "moire_pattern"
	LivenessUncertain Reason = "liveness_uncertain"
)

// Reasons why nothing could be told.
const (
	NotAvailable              Reason = "not_available_on_this_device"
	EvidenceMissing           Reason = "evidence_missing"
	ModelUnknown              Reason = "model_unknown"
	ModelOutputInvalid        Reason = "model_output_invalid"
	OperatingPointNotMeasured Reason = "operating_point_not_measured"
)

// Reasons of a decision beside those of its checks.
const (
	PolicyInvalid         Reason = "policy_invalid"
	LivenessTooWeak       Reason = "liveness_too_weak"
	CameraUnattested      Reason = "camera_unattested"
	FMRNotMet             Reason = "fmr_not_met"
	ResultContradictsBand Reason = "result_contradicts_band"
	DeclinedBySubject     Reason = "declined_by_subject"
)

// Reasons of status Error: the machinery could not do its work.
const (
	CameraLost       Reason = "camera_lost"
	CameraFrozen     Reason = "camera_frozen"
	ModelUnavailable Reason = "model_unavailable"
	StorageFull      Reason = "storage_full"
	TimedOut         Reason = "examination_timed_out"
	MachineryFailed  Reason = "machinery_failed"
)

// Sentence says to the clerk what was found. A code that this build does not
// know is quoted, never dropped. The sentences of face_match name the reference
// and the rate as well; see Check.Reasoning.
func (r Reason) Sentence() string {
	clerk, _ := r.words()
	if clerk == "" {
		return "The finding has the code " + string(r) + "."
	}
	return clerk
}

// Advice says to the person in front of the camera what to do next. It tells
// nothing that would help an attacker, and is empty where there is nothing to do.
func (r Reason) Advice() string {
	_, person := r.words()
	return person
}

// words is the table: code, sentence for the clerk, advice for the person.
func (r Reason) words() (clerk, person string) {
	const again = "Please try again, in even light, looking straight at the camera."
	const staff = "Please ask a member of staff."
	switch r {
	case QualitySufficient:
		return "The images are good enough to examine.", ""
	case FaceMatches:
		return "The face matches the reference.", ""
	case LivenessShown:
		return "A living person was in front of the camera.", ""

	case ImageTooSmall:
		return "An image of the document is smaller than 1280×720 pixels.", "Please take the picture at a higher resolution or from nearer."
	case ImageUnreadable:
		return "An image cannot be read.", "Please take the picture again."
	case ImageBlurred:
		return "An image is not sharp.", "Please hold still and take the picture again."
	case ImageTooDark:
		return "An image is too dark.", "Please find more light."
	case ImageTooBright:
		return "An image is too bright.", "Please avoid direct light."
	case UnevenLight:
		return "The light comes from one side.", "Please turn towards the light."
	case LowContrast:
		return "An image is pale.", "Please clean the lens or change the light."
	case Glare:
		return "Glare hides part of the document.", "Please tilt the document until the reflection is gone."
	case DocumentCutOff:
		return "The document is not wholly in view.", "Please show the whole document."
	case NoFaceInProbe:
		return "No face was found in the image of the person.", again
	case SeveralFaces:
		return "Several faces are in the image of the person.", "Please make sure that nobody else is in the picture."
	case FaceTooSmall:
		return "The face is too small in the image.", "Please come closer."
	case FaceTooLarge:
		return "The face is too near.", "Please move back a little."
	case FaceOffCentre:
		return "The face is at the side of the image.", "Please move to the middle of the picture."
	case FaceCutOff:
		return "The face is not wholly in view.", "Please move until your whole face is in the picture."
	case FaceTurned:
		return "The face is turned away.", "Please look straight at the camera."

	case FaceDiffers:
		return "The face does not match the reference.", staff
	case NoFaceInReference:
		return "No face was found in the reference.", "Please take the picture of the document again."
	case SeveralFacesInReference:
		return "Several faces are in the image of the document.", "Please show the document alone."
	case ProbeIsReference:
		return "The image of the person and the portrait are the same picture.", staff
	case AttackPrint:
		return "The face looks like a printed picture.", staff
	case AttackScreen:
		return "The face looks like a picture on a screen.", staff
	case AttackSuspected:
		return "The face looks like a presentation attack.", staff
	case MoirePattern:
		return "The image shows the pattern of a screen.", staff
	case LivenessUncertain:
		return "It is uncertain whether a living person was in front of the camera.", again

	case NotAvailable:
		return "This device cannot run this check yet.", ""
	case EvidenceMissing:
		return "The inputs that this check needs are missing.", ""
	case ModelUnknown:
		return "The measurement comes from a model that this device does not know.", staff
	case ModelOutputInvalid:
		return "A model gave a value that is no valid measurement.", again
	case OperatingPointNotMeasured:
		return "The model was not measured at the error rate that the policy wants.", staff

	case PolicyInvalid:
		return "The policy is invalid.", staff
	case LivenessTooWeak:
		return "Liveness was shown in a weaker way than the policy demands.", staff
	case CameraUnattested:
		return "The frames do not come from a camera that the device vouches for.", staff
	case FMRNotMet:
		return "The comparison does not reach the false match rate that the policy demands.", staff
	case ResultContradictsBand:
		return "A result contradicts its own band.", staff
	case DeclinedBySubject:
		return "The person declined.", ""

	case CameraLost:
		return "The camera was lost.", "The camera does not work at the moment. Please try again later."
	case CameraFrozen:
		return "The camera delivers the same frame again and again.", "The camera does not work at the moment. Please try again later."
	case ModelUnavailable:
		return "A model could not be loaded.", staff
	case StorageFull:
		return "The storage of the device is full.", staff
	case TimedOut:
		return "The examination took too long.", "Please try again."
	case MachineryFailed:
		return "The device could not do its work.", "Please try again."
	}
	return "", ""
}
