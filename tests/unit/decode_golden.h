/* SPDX-License-Identifier: BSD-3-Clause */
/* What nvme-cli 2.3 prints with -o json for the bytes that test_decode.c makes. */
#ifndef DECODE_GOLDEN_H
#define DECODE_GOLDEN_H

static const char golden_smart[] =
	"{\"critical_warning\":3,\"temperature\":4362,\"avail_spare\":24,\"spare_thresh\":31,\""
	"percent_used\":38,\"endurance_grp_critical_warning_summary\":45,\"data_units_read\":\""
	"101380858044741881625158882055574088291\",\"data_units_written\":\"8002980757127123293"
	"7297037006127323731\",\"host_read_commands\":\"58678757097800586619805635893850622531"
	"\",\"host_write_commands\":\"37327706624485284899728101158846282291\",\"controller_bus"
	"y_time\":\"15979262480262786708611732593454426659\",\"power_cycles\":\"165434009465153"
	"827688852925255524620819\",\"power_on_hours\":\"14408295899168317900095491067157053696"
	"3\",\"unsafe_shutdowns\":\"122731908518212530313056896087616486003\",\"media_errors\":"
	"\"101380858044741881625158882055574088291\",\"num_err_log_entries\":\"8002980757127123"
	"2937297037006127323731\",\"warning_temp_time\":1481722435,\"critical_comp_time\":19533"
	"26687,\"temperature_sensor_1\":635,\"temperature_sensor_2\":4105,\"temperature_sensor_"
	"3\":7703,\"temperature_sensor_4\":11301,\"temperature_sensor_5\":14899,\"temperature_s"
	"ensor_6\":18497,\"temperature_sensor_7\":22095,\"temperature_sensor_8\":25693,\"thm_te"
	"mp1_trans_count\":7959147,\"thm_temp2_trans_count\":471141895,\"thm_temp1_total_time\""
	":942746147,\"thm_temp2_total_time\":1414350399}";

static const char golden_smart_human[] =
	"{\"critical_warning\":{\"value\":3,\"available_spare\":1,\"temp_threshold\":1,\"reliab"
	"ility_degraded\":0,\"ro\":0,\"vmbu_failed\":0,\"pmr_ro\":0},\"temperature\":4362,\"ava"
	"il_spare\":24,\"spare_thresh\":31,\"percent_used\":38,\"endurance_grp_critical_warning"
	"_summary\":45,\"data_units_read\":\"101380858044741881625158882055574088291\",\"data_u"
	"nits_written\":\"80029807571271232937297037006127323731\",\"host_read_commands\":\"586"
	"78757097800586619805635893850622531\",\"host_write_commands\":\"3732770662448528489972"
	"8101158846282291\",\"controller_busy_time\":\"15979262480262786708611732593454426659\""
	",\"power_cycles\":\"165434009465153827688852925255524620819\",\"power_on_hours\":\"144"
	"082958991683179000954910671570536963\",\"unsafe_shutdowns\":\"122731908518212530313056"
	"896087616486003\",\"media_errors\":\"101380858044741881625158882055574088291\",\"num_e"
	"rr_log_entries\":\"80029807571271232937297037006127323731\",\"warning_temp_time\":1481"
	"722435,\"critical_comp_time\":1953326687,\"temperature_sensor_1\":635,\"temperature_se"
	"nsor_2\":4105,\"temperature_sensor_3\":7703,\"temperature_sensor_4\":11301,\"temperatu"
	"re_sensor_5\":14899,\"temperature_sensor_6\":18497,\"temperature_sensor_7\":22095,\"te"
	"mperature_sensor_8\":25693,\"thm_temp1_trans_count\":7959147,\"thm_temp2_trans_count\""
	":471141895,\"thm_temp1_total_time\":942746147,\"thm_temp2_total_time\":1414350399}";

static const char golden_error[] =
	"{\"errors\":[{\"error_count\":3759703178913843715,\"sqid\":16955,\"cmdid\":20553,\"sta"
	"tus_field\":12075,\"phase_tag\":1,\"parm_error_location\":27749,\"lba\":26022604135046"
	"49843,\"nsid\":1077490219,\"vs\":71,\"trtype\":78,\"cs\":1444818200007109219,\"trtype_"
	"spec_info\":8731},{\"error_count\":8389474240550750787,\"sqid\":635,\"cmdid\":4105,\"s"
	"tatus_field\":3851,\"phase_tag\":1,\"parm_error_location\":11301,\"lba\":7232031475141"
	"524019,\"nsid\":7959147,\"vs\":7,\"trtype\":14,\"cs\":6074588709732297251,\"trtype_spe"
	"c_info\":25179},{\"error_count\":3759703178913843715,\"sqid\":16955,\"cmdid\":20553,\""
	"status_field\":12075,\"phase_tag\":1,\"parm_error_location\":27749,\"lba\":26022604135"
	"04649843,\"nsid\":1077490219,\"vs\":71,\"trtype\":78,\"cs\":1444818200007109219,\"trty"
	"pe_spec_info\":8731}]}";

static const char golden_fw[] =
	"{\"nvme0\":{\"Active Firmware Slot (afi)\":3,\"Firmware Rev Slot 1\":\"781075285784613"
	"7403 (;BIPW^el)\",\"Firmware Rev Slot 2\":\"2602260413504649843 (sz.....$)\",\"Firmwar"
	"e Rev Slot 3\":\"6653310092436910635 (+29@GNU\\\\)\",\"Firmware Rev Slot 4\":\"1444818"
	"200007109219 (cjqx....)\",\"Firmware Rev Slot 5\":\"5495867327027683867 (.\\\")07>EL)"
	"\",\"Firmware Rev Slot 6\":\"323544969105201747 (SZahov}.)\",\"Firmware Rev Slot 7\":"
	"\"4338424561618457099 (....'.5<)\"}}";

static const char golden_changed_ns[] =
	"{\"Changed Namespace List Log\":\"nvme0\",\"nvme0\":{\"[   1]\":\"0x18110a03\",\"[   2"
	"]\":\"0x342d261f\",\"[   3]\":\"0x5049423b\",\"[   4]\":\"0x6c655e57\"}}";

static const char golden_effects[] =
	"{\"command_set_identifier\":0,\"admin_cmd_set\":{\"ACS_0 (Delete I/O Submission Queue)"
	"\":403769859,\"ACS_1 (Create I/O Submission Queue)\":875374111,\"ACS_2 (Get Log Page)"
	"\":1346978363,\"ACS_3 (Unknown)\":1818582615,\"ACS_4 (Delete I/O Completion Queue)\":1"
	"34314611,\"ACS_5 (Create I/O Completion Queue)\":605885967,\"ACS_6 (Identify)\":107749"
	"0219,\"ACS_7 (Unknown)\":1549094471,\"ACS_8 (Abort)\":2020698723,\"ACS_9 (Set Features"
	")\":336397951,\"ACS_10 (Get Features)\":808002075,\"ACS_11 (Unknown)\":1279606327,\"AC"
	"S_12 (Asynchronous Event Request)\":1751210579,\"ACS_13 (Namespace Management)\":75331"
	"183,\"ACS_14 (Unknown)\":538513931,\"ACS_15 (Unknown)\":1010118183,\"ACS_16 (Firmware "
	"Commit)\":1481722435,\"ACS_17 (Firmware Image Download)\":1953326687,\"ACS_18 (Unknown"
	")\":269025915,\"ACS_19 (Unknown)\":740630039,\"ACS_20 (Device Self-test)\":1212234291,"
	"\"ACS_21 (Namespace Attachment)\":1683838543,\"ACS_22 (Unknown)\":7959147,\"ACS_23 (Un"
	"known)\":471141895,\"ACS_24 (Keep Alive)\":942746147,\"ACS_25 (Directive Send)\":14143"
	"50399,\"ACS_26 (Directive Receive)\":1885954651,\"ACS_27 (Unknown)\":201686647,\"ACS_2"
	"8 (Virtualization Management)\":673258003,\"ACS_29 (NVMe-MI Send)\":1144862255,\"ACS_3"
	"0 (NVMe-MI Receive)\":1616466507,\"ACS_31 (Unknown)\":2088070759,\"ACS_32 (Unknown)\":"
	"403769859,\"ACS_33 (Unknown)\":875374111,\"ACS_34 (Unknown)\":1346978363,\"ACS_35 (Unk"
	"nown)\":1818582615,\"ACS_36 (Unknown)\":134314611,\"ACS_37 (Unknown)\":605885967,\"ACS"
	"_38 (Unknown)\":1077490219,\"ACS_39 (Unknown)\":1549094471,\"ACS_40 (Unknown)\":202069"
	"8723,\"ACS_41 (Unknown)\":336397951,\"ACS_42 (Unknown)\":808002075,\"ACS_43 (Unknown)"
	"\":1279606327,\"ACS_44 (Unknown)\":1751210579,\"ACS_45 (Unknown)\":75331183,\"ACS_46 ("
	"Unknown)\":538513931,\"ACS_47 (Unknown)\":1010118183,\"ACS_48 (Unknown)\":1481722435,"
	"\"ACS_49 (Unknown)\":1953326687,\"ACS_50 (Unknown)\":269025915,\"ACS_51 (Unknown)\":74"
	"0630039,\"ACS_52 (Unknown)\":1212234291,\"ACS_53 (Unknown)\":1683838543,\"ACS_54 (Unkn"
	"own)\":7959147,\"ACS_55 (Unknown)\":471141895,\"ACS_56 (Unknown)\":942746147,\"ACS_57 "
	"(Unknown)\":1414350399,\"ACS_58 (Unknown)\":1885954651,\"ACS_59 (Unknown)\":201686647,"
	"\"ACS_60 (Unknown)\":673258003,\"ACS_61 (Unknown)\":1144862255,\"ACS_62 (Unknown)\":16"
	"16466507,\"ACS_63 (Unknown)\":2088070759,\"ACS_128 (Format NVM)\":437454849,\"ACS_129 "
	"(Security Send)\":909059101,\"ACS_130 (Security Receive)\":1380663353,\"ACS_131 (Unkno"
	"wn)\":1852267605,\"ACS_132 (Sanitize)\":167999601,\"ACS_133 (Unknown)\":639570957,\"AC"
	"S_134 (Get LBA Status)\":1111175209,\"ACS_135 (Unknown)\":1582779461,\"ACS_136 (Unknow"
	"n)\":2054383713,\"ACS_137 (Unknown)\":370082941,\"ACS_138 (Unknown)\":841687065,\"ACS_"
	"139 (Unknown)\":1313291317,\"ACS_140 (Unknown)\":1784895569,\"ACS_141 (Unknown)\":1090"
	"16173,\"ACS_142 (Unknown)\":572198921,\"ACS_143 (Unknown)\":1043803173,\"ACS_144 (Unkn"
	"own)\":1515407425,\"ACS_145 (Unknown)\":1987011677,\"ACS_146 (Unknown)\":302710905,\"A"
	"CS_147 (Unknown)\":774315029,\"ACS_148 (Unknown)\":1245919281,\"ACS_149 (Unknown)\":17"
	"17523533,\"ACS_150 (Unknown)\":41644137,\"ACS_151 (Unknown)\":504826885,\"ACS_152 (Unk"
	"nown)\":976431137,\"ACS_153 (Unknown)\":1448035389,\"ACS_154 (Unknown)\":1919639641,\""
	"ACS_155 (Unknown)\":235371637,\"ACS_156 (Unknown)\":706942993,\"ACS_157 (Unknown)\":11"
	"78547245,\"ACS_158 (Unknown)\":1650151497,\"ACS_159 (Unknown)\":2121755749,\"ACS_160 ("
	"Unknown)\":437454849,\"ACS_161 (Unknown)\":909059101,\"ACS_162 (Unknown)\":1380663353,"
	"\"ACS_163 (Unknown)\":1852267605,\"ACS_164 (Unknown)\":167999601,\"ACS_165 (Unknown)\""
	":639570957,\"ACS_166 (Unknown)\":1111175209,\"ACS_167 (Unknown)\":1582779461,\"ACS_168"
	" (Unknown)\":2054383713,\"ACS_169 (Unknown)\":370082941,\"ACS_170 (Unknown)\":84168706"
	"5,\"ACS_171 (Unknown)\":1313291317,\"ACS_172 (Unknown)\":1784895569,\"ACS_173 (Unknown"
	")\":109016173,\"ACS_174 (Unknown)\":572198921,\"ACS_175 (Unknown)\":1043803173,\"ACS_1"
	"76 (Unknown)\":1515407425,\"ACS_177 (Unknown)\":1987011677,\"ACS_178 (Unknown)\":30271"
	"0905,\"ACS_179 (Unknown)\":774315029,\"ACS_180 (Unknown)\":1245919281,\"ACS_181 (Unkno"
	"wn)\":1717523533,\"ACS_182 (Unknown)\":41644137,\"ACS_183 (Unknown)\":504826885,\"ACS_"
	"184 (Unknown)\":976431137,\"ACS_185 (Unknown)\":1448035389,\"ACS_186 (Unknown)\":19196"
	"39641,\"ACS_187 (Unknown)\":235371637,\"ACS_188 (Unknown)\":706942993,\"ACS_189 (Unkno"
	"wn)\":1178547245,\"ACS_190 (Unknown)\":1650151497,\"ACS_191 (Unknown)\":2121755749},\""
	"io_cmd_set\":{\"IOCS_0 (Flush)\":471141895,\"IOCS_1 (Write)\":808002075,\"IOCS_2 (Read"
	")\":1414350399,\"IOCS_3 (Unknown)\":1751210579,\"IOCS_4 (Write Uncorrectable)\":201686"
	"647,\"IOCS_5 (Compare)\":538513931,\"IOCS_6 (Unknown)\":1144862255,\"IOCS_7 (Unknown)"
	"\":1481722435,\"IOCS_8 (Write Zeroes)\":2088070759,\"IOCS_9 (Dataset Management)\":269"
	"025915,\"IOCS_10 (Unknown)\":875374111,\"IOCS_11 (Unknown)\":1212234291,\"IOCS_12 (Ver"
	"ify)\":1818582615,\"IOCS_13 (Reservation Register)\":7959147,\"IOCS_14 (Reservation Re"
	"port)\":605885967,\"IOCS_15 (Unknown)\":942746147,\"IOCS_16 (Unknown)\":1549094471,\"I"
	"OCS_17 (Reservation Acquire)\":1885954651,\"IOCS_18 (Unknown)\":336397951,\"IOCS_19 (U"
	"nknown)\":673258003,\"IOCS_20 (Unknown)\":1279606327,\"IOCS_21 (Reservation Release)\""
	":1616466507,\"IOCS_22 (Unknown)\":75331183,\"IOCS_23 (Unknown)\":403769859,\"IOCS_24 ("
	"Unknown)\":1010118183,\"IOCS_25 (Copy)\":1346978363,\"IOCS_26 (Unknown)\":1953326687,"
	"\"IOCS_27 (Unknown)\":134314611,\"IOCS_28 (Unknown)\":740630039,\"IOCS_29 (Unknown)\":"
	"1077490219,\"IOCS_30 (Unknown)\":1683838543,\"IOCS_31 (Unknown)\":2020698723,\"IOCS_32"
	" (Unknown)\":471141895,\"IOCS_33 (Unknown)\":808002075,\"IOCS_34 (Unknown)\":141435039"
	"9,\"IOCS_35 (Unknown)\":1751210579,\"IOCS_36 (Unknown)\":201686647,\"IOCS_37 (Unknown)"
	"\":538513931,\"IOCS_38 (Unknown)\":1144862255,\"IOCS_39 (Unknown)\":1481722435,\"IOCS_"
	"40 (Unknown)\":2088070759,\"IOCS_41 (Unknown)\":269025915,\"IOCS_42 (Unknown)\":875374"
	"111,\"IOCS_43 (Unknown)\":1212234291,\"IOCS_44 (Unknown)\":1818582615,\"IOCS_45 (Unkno"
	"wn)\":7959147,\"IOCS_46 (Unknown)\":605885967,\"IOCS_47 (Unknown)\":942746147,\"IOCS_4"
	"8 (Unknown)\":1549094471,\"IOCS_49 (Unknown)\":1885954651,\"IOCS_50 (Unknown)\":336397"
	"951,\"IOCS_51 (Unknown)\":673258003,\"IOCS_52 (Unknown)\":1279606327,\"IOCS_53 (Unknow"
	"n)\":1616466507,\"IOCS_54 (Unknown)\":75331183,\"IOCS_55 (Unknown)\":403769859,\"IOCS_"
	"56 (Unknown)\":1010118183,\"IOCS_57 (Unknown)\":1346978363,\"IOCS_58 (Unknown)\":19533"
	"26687,\"IOCS_59 (Unknown)\":134314611,\"IOCS_60 (Unknown)\":740630039,\"IOCS_61 (Unkno"
	"wn)\":1077490219,\"IOCS_62 (Unknown)\":1683838543,\"IOCS_63 (Unknown)\":2020698723,\"I"
	"OCS_128 (Unknown)\":504826885,\"IOCS_129 (Unknown)\":841687065,\"IOCS_130 (Unknown)\":"
	"1448035389,\"IOCS_131 (Unknown)\":1784895569,\"IOCS_132 (Unknown)\":235371637,\"IOCS_1"
	"33 (Unknown)\":572198921,\"IOCS_134 (Unknown)\":1178547245,\"IOCS_135 (Unknown)\":1515"
	"407425,\"IOCS_136 (Unknown)\":2121755749,\"IOCS_137 (Unknown)\":302710905,\"IOCS_138 ("
	"Unknown)\":909059101,\"IOCS_139 (Unknown)\":1245919281,\"IOCS_140 (Unknown)\":18522676"
	"05,\"IOCS_141 (Unknown)\":41644137,\"IOCS_142 (Unknown)\":639570957,\"IOCS_143 (Unknow"
	"n)\":976431137,\"IOCS_144 (Unknown)\":1582779461,\"IOCS_145 (Unknown)\":1919639641,\"I"
	"OCS_146 (Unknown)\":370082941,\"IOCS_147 (Unknown)\":706942993,\"IOCS_148 (Unknown)\":"
	"1313291317,\"IOCS_149 (Unknown)\":1650151497,\"IOCS_150 (Unknown)\":109016173,\"IOCS_1"
	"51 (Unknown)\":437454849,\"IOCS_152 (Unknown)\":1043803173,\"IOCS_153 (Unknown)\":1380"
	"663353,\"IOCS_154 (Unknown)\":1987011677,\"IOCS_155 (Unknown)\":167999601,\"IOCS_156 ("
	"Unknown)\":774315029,\"IOCS_157 (Unknown)\":1111175209,\"IOCS_158 (Unknown)\":17175235"
	"33,\"IOCS_159 (Unknown)\":2054383713,\"IOCS_160 (Unknown)\":504826885,\"IOCS_161 (Unkn"
	"own)\":841687065,\"IOCS_162 (Unknown)\":1448035389,\"IOCS_163 (Unknown)\":1784895569,"
	"\"IOCS_164 (Unknown)\":235371637,\"IOCS_165 (Unknown)\":572198921,\"IOCS_166 (Unknown)"
	"\":1178547245,\"IOCS_167 (Unknown)\":1515407425,\"IOCS_168 (Unknown)\":2121755749,\"IO"
	"CS_169 (Unknown)\":302710905,\"IOCS_170 (Unknown)\":909059101,\"IOCS_171 (Unknown)\":1"
	"245919281,\"IOCS_172 (Unknown)\":1852267605,\"IOCS_173 (Unknown)\":41644137,\"IOCS_174"
	" (Unknown)\":639570957,\"IOCS_175 (Unknown)\":976431137,\"IOCS_176 (Unknown)\":1582779"
	"461,\"IOCS_177 (Unknown)\":1919639641,\"IOCS_178 (Unknown)\":370082941,\"IOCS_179 (Unk"
	"nown)\":706942993,\"IOCS_180 (Unknown)\":1313291317,\"IOCS_181 (Unknown)\":1650151497,"
	"\"IOCS_182 (Unknown)\":109016173,\"IOCS_183 (Unknown)\":437454849,\"IOCS_184 (Unknown)"
	"\":1043803173,\"IOCS_185 (Unknown)\":1380663353,\"IOCS_186 (Unknown)\":1987011677,\"IO"
	"CS_187 (Unknown)\":167999601,\"IOCS_188 (Unknown)\":774315029,\"IOCS_189 (Unknown)\":1"
	"111175209,\"IOCS_190 (Unknown)\":1717523533,\"IOCS_191 (Unknown)\":2054383713}}";

static const char golden_ana[] =
	"{\"Asymmetric Namespace Access Log for NVMe device\":\"nvme0\",\"chgcnt\":7,\"ngrps\":"
	"2,\"ANA DESC LIST \":[{\"grpid\":1,\"nnsids\":2,\"chgcnt\":9,\"state\":\"non-optimized"
	"\",\"NSIDS\":[{\"nsid\":1},{\"nsid\":5}]},{\"grpid\":2,\"nnsids\":0,\"chgcnt\":3,\"sta"
	"te\":\"change\",\"NSIDS\":[]}]}";

static const char golden_self_test[] =
	"{\"Current Device Self-Test Operation\":3,\"Current Device Self-Test Completion\":10,"
	"\"List of Valid Reports\":[{\"Self test result\":15},{\"Self test result\":3,\"Self te"
	"st code\":6,\"Segment number\":106,\"Valid Diagnostic Information\":113,\"Power on hou"
	"rs\":3470342487561537151,\"Namespace Identifier\":1279606327,\"Vendor Specific\":8217}"
	",{\"Self test result\":7,\"Self test code\":2,\"Segment number\":46,\"Valid Diagnostic"
	" Information\":53,\"Power on hours\":8389474240550750787,\"Namespace Identifier\":2690"
	"25915,\"Status Code Type\":79,\"Vendor Specific\":25693},{\"Self test result\":11,\"Se"
	"lf test code\":6,\"Segment number\":114,\"Valid Diagnostic Information\":121,\"Power o"
	"n hours\":4049063870266150407,\"Namespace Identifier\":1414350399,\"Status Code\":26,"
	"\"Vendor Specific\":10273}]}";

static const char golden_sanitize[] =
	"{\"nvme0\":{\"sprog\":2563,\"sstat\":{\"global_erased\":0,\"no_cmplted_passes\":2,\"st"
	"atus\":\"(1) Most Recent Sanitize Command Completed Successfully.\"},\"cdw10_info\":87"
	"5374111,\"time_over_write\":1346978363,\"time_block_erase\":1818582615,\"time_crypto_e"
	"rase\":134314611,\"time_over_write_no_dealloc\":605885967,\"time_block_erase_no_deallo"
	"c\":1077490219,\"time_crypto_erase_no_dealloc\":1549094471}}";

static const char golden_resv[] =
	"{\"count\":3759703178913843715,\"rn_log_type\":59,\"num_logs\":66,\"nsid\":1818582615}";

static const char golden_endurance[] =
	"{\"critical_warning\":3,\"avl_spare\":24,\"avl_spare_threshold\":31,\"percent_used\":3"
	"8,\"endurance_estimate\":\"101380858044741881625158882055574088291\",\"data_units_read"
	"\":\"80029807571271232937297037006127323731\",\"data_units_written\":\"586787570978005"
	"86619805635893850622531\",\"media_units_written\":\"3732770662448528489972810115884628"
	"2291\",\"host_read_cmds\":\"15979262480262786708611732593454426659\",\"host_write_cmds"
	"\":\"165434009465153827688852925255524620819\",\"media_data_integrity_err\":\"14408295"
	"8991683179000954910671570536963\",\"num_err_info_log_entries\":\"122731908518212530313"
	"056896087616486003\"}";

static const char golden_independent[] =
	"{\"nsfeat\":3,\"nmic\":10,\"rescap\":17,\"fpi\":24,\"anagrpid\":875374111,\"nsattr\":5"
	"9,\"nvmsetid\":20553,\"endgid\":24151,\"nstat\":101}";

static const char golden_nvm_ctrl[] =
	"{\"vsl\":3,\"wzsl\":10,\"wusl\":17,\"dmrl\":24,\"dmrsl\":875374111,\"dmsl\":7810752857"
	"846137403}";

static const char golden_nvm_ns[] =
	"{\"lbstm\":3759703178913843715,\"pic\":59,\"elbafs\":[{\"sts\":87,\"pif\":0},{\"sts\":"
	"115,\"pif\":0},{\"sts\":15,\"pif\":0}]}";

static const char golden_descs[] =
	"{\"ns-descs\":[{\"loc\":0,\"nidt\":1,\"nidl\":8,\"type\":\"eui64\",\"eui64\":\"0102030"
	"405060708\"},{\"loc\":12,\"nidt\":2,\"nidl\":16,\"type\":\"nguid\",\"nguid\":\"1011121"
	"31415161718191a1b1c1d1e1f\"},{\"loc\":32,\"nidt\":3,\"nidl\":16,\"type\":\"uuid\",\"uu"
	"id\":\"20212223-2425-2627-2829-2a2b2c2d2e2f\"},{\"loc\":52,\"nidt\":4,\"nidl\":1,\"typ"
	"e\":\"csi\",\"csi\":\"0x2\"}]}";

static const char golden_ns_list[] =
	"{\"nsid_list\":[{\"nsid\":403769859},{\"nsid\":875374111},{\"nsid\":1346978363},{\"nsi"
	"d\":1818582615}]}";

static const char golden_ctrl_list[] =
	"{\"num_ctrl\":3,\"ctrl_list\":[{\"ctrl_id\":6161},{\"ctrl_id\":9759},{\"ctrl_id\":1335"
	"7}]}";

#endif
