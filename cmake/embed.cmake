# Writes a file as an array of C: cmake -DBIN2C=… -DNAME=… -DINPUT=… -DOUTPUT=… -P embed.cmake
execute_process(
  COMMAND "${BIN2C}" --const --padd 0x00 --name "${NAME}" "${INPUT}"
  OUTPUT_FILE "${OUTPUT}" COMMAND_ERROR_IS_FATAL ANY)
